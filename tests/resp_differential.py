#!/usr/bin/env python3
"""Random commands to redis-server and to metad: the replies have to be equal, byte by byte.

    resp_differential.py REDIS_HOST:PORT METAD_HOST:PORT [SEED [COMMANDS]]

Not here: commands whose replies depend on time, chance or the order of a hash table, except where sorting makes them equal.
Must always hold: a difference prints the seed and the commands that lead to it, and ends with 1.
"""

import random
import socket
import sys


class Resp:
    """A connection that shows replies as nested lists of raw lines."""

    def __init__(self, address: str) -> None:
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=30)
        self.file = self.socket.makefile("rb")

    def send(self, commands: list) -> None:
        out = b""
        for words in commands:
            out += b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)
        self.socket.sendall(out)

    def reply(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise EOFError("the connection was closed")
        kind, number = line[:1], line[1:-2]
        if kind in b"$=" and number != b"-1":
            return [kind, self.file.read(int(number) + 2)[:-2]]
        if kind in b"*~>" and number != b"-1":
            return [line, [self.reply() for _ in range(int(number))]]
        if kind == b"%":
            return [line, [[self.reply(), self.reply()] for _ in range(int(number))]]
        return [line]


KEYS = [b"a", b"b", b"c", b"d", b"e\x00\r\nx", b""]
FIELDS = [b"f", b"g", b"h", b"", b"\xff\x00"]
VALUES = [b"", b"0", b"1", b"-1", b"10", b"x", b"3.5", b" 1", b"01", b"9223372036854775807", b"-9223372036854775808",
          b"y" * 50, b"a\r\nb", b"\x00\xff", b"1e3", b"nan"]
NUMBERS = [b"0", b"1", b"-1", b"2", b"5", b"-3", b"100", b"x", b"", b"9223372036854775807", b"-9223372036854775808", b"1.5"]
UNORDERED = {b"hgetall", b"hkeys", b"hvals", b"smembers", b"sinter", b"sunion", b"sdiff", b"keys"}

# k key, f field, v value, n number, everything else as it is. p and q are keys whose numbers stay small: metad adds decimals
# exactly, redis-server in 64 binary digits.
SHAPES = """
set k v|set k v nx|set k v xx|set k v get|set k v keepttl|set k v ex n|set k v nx get|set k v xx keepttl get|set k v foo
get k|getset k v|getdel k|getex k|getex k persist|setnx k v|mget k k k|mset k v k v|mset k v k|msetnx k v k v
append k v|strlen k|getrange k n n|setrange k 2 v|setrange k n x|substr k n n|incr k|decr k|incrby k n|decrby k n|incrbyfloat k x
set p 3.25|incrbyfloat p 1.5|incrbyfloat p -0.25|incrbyfloat p 1e2|incr p|sadd p x|del p|get p|hset q f 10|hincrbyfloat q f 1.5|hincrbyfloat q f x|hget q f|del q|del k|del k k|unlink k|exists k k|touch k|type k|rename k k|renamenx k k|copy k k|copy k k replace|persist k
expire k 1000|expire k n|expire k 1000 nx|expire k 2000 gt|expire k 1000 lt|expire k 5 xx|expire k 5 nx gt|expire k 5 foo|pexpire k 100000
expireat k 99999999999|ttl k|expiretime k|dbsize|randomkey x|keys *|keys [ab]
hset k f v|hset k f v f v|hset k f|hsetnx k f v|hget k f|hmget k f f|hgetall k|hdel k f|hdel k f f|hlen k|hexists k f|hkeys k|hvals k
hstrlen k f|hincrby k f n|hmset k f v|hmset k f v f|hrandfield k 0
sadd k f|sadd k f f v|srem k f|srem k f v|smembers k|scard k|sismember k f|smismember k f v|smove k k f|sinter k k|sunion k k
sdiff k k|sinterstore k k k|sunionstore k k k|sdiffstore k k k|sintercard 2 k k|sintercard n k k|sintercard 2 k k limit 1|spop k n x|srandmember k 0
multi|exec|exec|discard|watch k|unwatch|select n|echo v|ping|ping v|ping v v|get|set k|hset k|sadd k|foo a b|client foo|select x|object encoding x y
flushall|flushall foo|persist|incr|expire k|setex k n v|psetex k 100000 v|setex k 100 v
""".replace("\n", "|").strip("|").split("|")


def words_of(shape: str, chance: random.Random) -> list:
    pools = {"k": KEYS, "p": [b"p1", b"p2"], "q": [b"q1"], "f": FIELDS, "v": VALUES, "n": NUMBERS}
    return [chance.choice(pools[word]) if word in pools else word.encode() for word in shape.split()]


def comparable(words: list, reply):
    if words[0] == b"hello":
        return reply[0]
    if words[0] in UNORDERED and len(reply) == 2 and isinstance(reply[1], list):
        items = reply[1]
        if words[0] == b"hgetall" and reply[0][:1] == b"*":
            items = [items[at:at + 2] for at in range(0, len(items), 2)]
        return [reply[0], sorted(items, key=repr)]
    return reply


def number(reply) -> int:
    """An integer reply; far away from every other when it is none."""
    return int(reply[0][1:]) if reply[0][:1] == b":" else hash(repr(reply))


def run(redis_at: str, metad_at: str, seed: int, total: int) -> int:
    chance = random.Random(seed)
    redis, metad = Resp(redis_at), Resp(metad_at)
    history, done, queued = [], 0, []
    for side in (redis, metad):
        side.send([[b"flushall"]])
        side.reply()
    while done < total:
        batch = [words_of(chance.choice(SHAPES), chance) for _ in range(chance.randint(1, 12))]
        if chance.random() < 0.05:
            batch.append([b"hello", chance.choice([b"2", b"3"])])
        for side in (redis, metad):
            side.send(batch)
        for words in batch:
            history.append(words)
            theirs, ours = redis.reply(), metad.reply()
            if theirs == [b"+QUEUED\r\n"]:
                queued.append(words)
            if words[0] in (b"exec", b"discard"):
                commands, queued = queued, []
                if words[0] == b"exec" and len(theirs) == 2 and len(ours) == 2 and theirs[0] == ours[0]:
                    theirs = [comparable(w, r) for w, r in zip(commands, theirs[1])]
                    ours = [comparable(w, r) for w, r in zip(commands, ours[1])]
            theirs, ours = comparable(words, theirs), comparable(words, ours)
            if words[0] == b"expiretime" and abs(number(theirs) - number(ours)) <= 1:
                continue
            done += 1
            if theirs != ours:
                print(f"seed {seed}, command {done}: {words}\n  redis: {theirs}\n  metad: {ours}")
                for before in history[-25:]:
                    print("   ", before)
                return 1
    print(f"seed {seed}: {done} replies are equal")
    return 0


if __name__ == "__main__":
    SEED = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    TOTAL = int(sys.argv[4]) if len(sys.argv) > 4 else 20_000
    sys.exit(run(sys.argv[1], sys.argv[2], SEED, TOTAL))
