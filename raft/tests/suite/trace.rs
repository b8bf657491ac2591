//! What strace saw of a member: calls with their data, and the frames on its accepted streams.
//!
//! strace writes a line before it lets a thread go on, so the order of lines is an order of cause and effect: data was there
//! when the line of a receiving call ends, and bytes leave after the line of a sending call begins.
//!
//! Not here: what must be in a trace (see `fsync`). Must always hold: a call that was interrupted counts from its first line to
//! its last.

use std::collections::BTreeMap;

/// One system call.
pub struct Call {
    pub name: String,
    /// File descriptor: the first argument.
    pub fd: String,
    pub begin: usize,
    pub end: usize,
    pub result: i64,
    /// Every string in its arguments, one after the other.
    pub data: Vec<u8>,
}

/// A frame on an accepted stream.
#[derive(Debug)]
pub struct Frame {
    pub kind: u8,
    pub stream: usize,
    pub id: u64,
    pub body: Vec<u8>,
    /// The line that began to send it, or that ended receiving it.
    pub line: usize,
}

/// Reads what `strace -f -y -xx` wrote.
pub fn calls(trace: &str) -> Vec<Call> {
    let (mut open, mut out) = (BTreeMap::<&str, (usize, String)>::new(), Vec::new());
    for (line, text) in trace.lines().enumerate() {
        let Some((pid, rest)) = text.split_once(char::is_whitespace) else { continue };
        let rest = rest.trim_start();
        let (begin, whole) = match rest.strip_prefix("<... ") {
            Some(resumed) => {
                let Some((begin, first)) = open.remove(pid) else { continue };
                let tail = resumed.split_once(" resumed>").map_or("", |(_, tail)| tail);
                (begin, first + tail)
            }
            None => (line, rest.to_string()),
        };
        match whole.strip_suffix("<unfinished ...>") {
            Some(first) => {
                open.insert(pid, (begin, first.to_string()));
            }
            None => out.extend(call(&whole, begin, line)),
        }
    }
    out.sort_by_key(|c| c.begin);
    out
}

fn call(text: &str, begin: usize, end: usize) -> Option<Call> {
    let (name, rest) = text.split_once('(')?;
    let (args, result) = rest.rsplit_once(" = ")?;
    let digits: String = result.chars().take_while(|c| c.is_ascii_digit() || *c == '-').collect();
    let fd = args.split([',', ')']).next()?.to_string();
    let data = args.split('"').skip(1).step_by(2).flat_map(unescape).collect();
    Some(Call { name: name.to_string(), fd, begin, end, result: digits.parse().ok()?, data })
}

fn unescape(hex: &str) -> Vec<u8> {
    hex.split("\\x").skip(1).filter_map(|byte| u8::from_str_radix(byte.get(..2)?, 16).ok()).collect()
}

/// The number in front of a descriptor's name.
pub fn number(fd: &str) -> &str {
    fd.split('<').next().unwrap_or(fd)
}

/// What a descriptor stands for, as `-y` tells it.
pub fn name(fd: &str) -> Vec<u8> {
    unescape(fd)
}

/// The frames that accepted streams received, and those they sent.
pub fn frames(calls: &[Call]) -> (Vec<Frame>, Vec<Frame>) {
    let (mut streams, mut open) = (Vec::new(), BTreeMap::<String, usize>::new());
    for call in calls {
        let sends = ["write", "writev", "sendto", "sendmsg"].contains(&call.name.as_str());
        let receives = ["read", "recvfrom"].contains(&call.name.as_str());
        if call.name == "accept4" && call.result >= 0 {
            open.insert(call.result.to_string(), streams.len());
            streams.push((Vec::new(), Vec::new()));
        } else if let (true, Some(at)) = (sends || receives, open.get(number(&call.fd))) {
            let len = usize::try_from(call.result).unwrap_or(0);
            let line = if sends { call.begin } else { call.end };
            let bytes = call.data.iter().take(len).map(|b| (line, *b));
            let (received, sent) = &mut streams[*at];
            if sends { sent.extend(bytes) } else { received.extend(bytes) }
        }
    }
    let (mut received, mut sent) = (Vec::new(), Vec::new());
    for (stream, (inward, outward)) in streams.iter().enumerate() {
        received.extend(cut(stream, inward, false));
        sent.extend(cut(stream, outward, true));
    }
    (received, sent)
}

/// Cuts a stream into frames, behind the head of the HTTP exchange (`src/docs/data-format.md`).
fn cut(stream: usize, bytes: &[(usize, u8)], first: bool) -> Vec<Frame> {
    let plain: Vec<u8> = bytes.iter().map(|(_, b)| *b).collect();
    let mut out = Vec::new();
    let Some(head) = plain.windows(4).position(|w| w == b"\r\n\r\n") else { return out };
    let mut at = head + 4;
    while let Some(head) = plain.get(at..at + 20) {
        let len = u32::from_le_bytes(head[..4].try_into().unwrap()) as usize;
        let Some(body) = plain.get(at + 20..at + 20 + len) else { break };
        let line = bytes[if first { at } else { at + 19 + len }].0;
        let id = u64::from_le_bytes(head[8..16].try_into().unwrap());
        out.push(Frame { kind: head[4], stream, id, body: body.to_vec(), line });
        at += 20 + len;
    }
    out
}
