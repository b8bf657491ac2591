//! Replies: written straight into the connection's output, in the shapes of its protocol version.
//!
//! Not here: which reply a command gives. Must always hold: a header is followed by exactly the parts that it announces;
//! an error is one line.
//!
//! Source: RESP3 specification; `networking.c` of Redis for what RESP2 clients get instead.

use super::number::write_decimal;

/// A connection's output.
#[derive(Debug, Default)]
pub struct Reply {
    out: Vec<u8>,
    resp3: bool,
}

impl Reply {
    /// Output in this version from now on.
    pub fn speak(&mut self, resp3: bool) {
        self.resp3 = resp3;
    }

    /// Whether the client speaks RESP3.
    pub fn is_resp3(&self) -> bool {
        self.resp3
    }

    /// What has been written.
    pub fn as_slice(&self) -> &[u8] {
        &self.out
    }

    /// Bytes that have been written.
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether nothing has been written.
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// Forgets what was written from `len` on.
    pub fn truncate(&mut self, len: usize) {
        self.out.truncate(len);
    }

    /// Forgets everything; a buffer that had to grow large is given back.
    pub fn clear(&mut self, keep_bytes: usize) {
        self.out.clear();
        self.out.shrink_to(keep_bytes);
    }

    /// Bytes that are a reply already.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    fn line(&mut self, kind: u8, number: i64) {
        self.out.push(kind);
        write_decimal(&mut self.out, number);
        self.out.extend_from_slice(b"\r\n");
    }

    /// `+OK`.
    pub fn ok(&mut self) {
        self.out.extend_from_slice(b"+OK\r\n");
    }

    /// A status: one line.
    pub fn simple(&mut self, text: &str) {
        self.out.push(b'+');
        self.out.extend_from_slice(text.as_bytes());
        self.out.extend_from_slice(b"\r\n");
    }

    /// An error: its code and text; line breaks become spaces.
    pub fn error(&mut self, text: &str) {
        self.out.push(b'-');
        let line = text.bytes().map(|b| if matches!(b, b'\r' | b'\n') { b' ' } else { b });
        self.out.extend(line);
        self.out.extend_from_slice(b"\r\n");
    }

    /// An integer.
    pub fn int(&mut self, number: i64) {
        self.line(b':', number);
    }

    /// A count.
    pub fn count(&mut self, number: usize) {
        self.line(b':', number as i64);
    }

    /// 1 or 0.
    pub fn flag(&mut self, flag: bool) {
        self.out.extend_from_slice(if flag { b":1\r\n" } else { b":0\r\n" });
    }

    /// A string.
    pub fn bulk(&mut self, bytes: &[u8]) {
        self.line(b'$', bytes.len() as i64);
        self.out.extend_from_slice(bytes);
        self.out.extend_from_slice(b"\r\n");
    }

    /// A number as a string.
    pub fn bulk_int(&mut self, number: i64) {
        let mut digits = Vec::with_capacity(20);
        write_decimal(&mut digits, number);
        self.bulk(&digits);
    }

    /// A string, or null.
    pub fn bulk_or_null(&mut self, bytes: Option<&[u8]>) {
        match bytes {
            Some(bytes) => self.bulk(bytes),
            None => self.null(),
        }
    }

    /// Null where a string would be.
    pub fn null(&mut self) {
        self.out.extend_from_slice(if self.resp3 { b"_\r\n" } else { b"$-1\r\n" });
    }

    /// Null where an array would be.
    pub fn null_array(&mut self) {
        self.out.extend_from_slice(if self.resp3 { b"_\r\n" } else { b"*-1\r\n" });
    }

    /// The header of an array.
    pub fn array(&mut self, len: usize) {
        self.line(b'*', len as i64);
    }

    /// The header of a map of `len` pairs; a flat array in RESP2.
    pub fn map(&mut self, len: usize) {
        match self.resp3 {
            true => self.line(b'%', len as i64),
            false => self.line(b'*', 2 * len as i64),
        }
    }

    /// The header of a set; an array in RESP2.
    pub fn set(&mut self, len: usize) {
        self.line(if self.resp3 { b'~' } else { b'*' }, len as i64);
    }

    /// The header of a push; an array in RESP2.
    pub fn push(&mut self, len: usize) {
        self.line(if self.resp3 { b'>' } else { b'*' }, len as i64);
    }

    /// Text for people; a string in RESP2.
    pub fn verbatim(&mut self, text: &str) {
        if !self.resp3 {
            return self.bulk(text.as_bytes());
        }
        self.line(b'=', text.len() as i64 + 4);
        self.out.extend_from_slice(b"txt:");
        self.out.extend_from_slice(text.as_bytes());
        self.out.extend_from_slice(b"\r\n");
    }

    /// A floating-point number, spelled by the caller; a string in RESP2.
    pub fn double(&mut self, text: &str) {
        if !self.resp3 {
            return self.bulk(text.as_bytes());
        }
        self.out.push(b',');
        self.out.extend_from_slice(text.as_bytes());
        self.out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(resp3: bool, write: impl Fn(&mut Reply)) -> String {
        let mut reply = Reply::default();
        reply.speak(resp3);
        write(&mut reply);
        String::from_utf8(reply.as_slice().to_vec()).unwrap()
    }

    #[test]
    fn each_version_has_its_own_shapes() {
        let both = |write: fn(&mut Reply)| (written(false, write), written(true, write));
        let pair = |two: &str, three: &str| (two.to_string(), three.to_string());
        assert_eq!(both(|r| r.map(2)), pair("*4\r\n", "%2\r\n"));
        assert_eq!(both(|r| r.set(2)), pair("*2\r\n", "~2\r\n"));
        assert_eq!(both(|r| r.push(3)), pair("*3\r\n", ">3\r\n"));
        assert_eq!(both(Reply::null), pair("$-1\r\n", "_\r\n"));
        assert_eq!(both(Reply::null_array), pair("*-1\r\n", "_\r\n"));
        assert_eq!(both(|r| r.verbatim("ab")), pair("$2\r\nab\r\n", "=6\r\ntxt:ab\r\n"));
        assert_eq!(both(|r| r.double("1.5")), pair("$3\r\n1.5\r\n", ",1.5\r\n"));
        assert_eq!(both(|r| r.bulk_int(-12)), pair("$3\r\n-12\r\n", "$3\r\n-12\r\n"));
    }

    #[test]
    fn an_error_is_one_line() {
        assert_eq!(written(false, |r| r.error("ERR a\r\nb")), "-ERR a  b\r\n");
    }
}
