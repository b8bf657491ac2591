//! Server-sent events, read from chunks as they come.
//!
//! Source: <https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream>.
//!
//! Not here: connecting and resuming (`events`). Must always hold: how the bytes are cut into chunks changes nothing; an event
//! that was cut off is never handed out.

use crate::limits::SSE_EVENT_BYTES_MAX;

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SseEvent {
    /// The `id` field, for `Last-Event-ID`.
    pub id: String,
    /// The `event` field.
    pub kind: String,
    /// The `data` fields, joined by newlines.
    pub data: String,
}

/// An event is longer than [`SSE_EVENT_BYTES_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event is longer than {SSE_EVENT_BYTES_MAX} bytes")]
pub struct TooLong;

/// The reader's state between chunks.
#[derive(Debug, Default)]
pub struct SseReader {
    line: Vec<u8>,
    after_cr: bool,
    event: SseEvent,
    data_lines: usize,
}

impl SseReader {
    /// Takes a chunk and hands out the events that it completes.
    ///
    /// # Errors
    /// When an event grows beyond its limit.
    pub fn push(&mut self, chunk: &[u8]) -> Result<Vec<SseEvent>, TooLong> {
        let mut done = Vec::new();
        for &byte in chunk {
            let ends = byte == b'\n' || byte == b'\r';
            let is_second_half = byte == b'\n' && self.after_cr;
            self.after_cr = byte == b'\r';
            if is_second_half {
                continue;
            }
            if !ends {
                self.line.push(byte);
                if self.line.len() + self.event.data.len() > SSE_EVENT_BYTES_MAX {
                    return Err(TooLong);
                }
                continue;
            }
            let line = std::mem::take(&mut self.line);
            done.extend(self.take_line(&String::from_utf8_lossy(&line)));
        }
        Ok(done)
    }

    fn take_line(&mut self, line: &str) -> Option<SseEvent> {
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            let had_data = std::mem::take(&mut self.data_lines) > 0;
            return had_data.then_some(event);
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => value.clone_into(&mut self.event.id),
            "event" => value.clone_into(&mut self.event.kind),
            "data" => {
                if self.data_lines > 0 {
                    self.event.data.push('\n');
                }
                self.data_lines += 1;
                self.event.data.push_str(value);
            }
            // Comments (an empty field) keep the connection alive; other fields are to be ignored.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STREAM: &str = ":keep-alive\n\nid: 1-0\nevent: set\ndata: {\"a\":1}\n\nid:2-0\r\nevent:del\r\ndata: x\r\ndata: ü\r\n\r\n\
        event: no data\n\nid: 3-0\ndata: cut off";

    fn whole() -> Vec<SseEvent> {
        SseReader::default().push(STREAM.as_bytes()).unwrap()
    }

    #[test]
    fn events_are_read_and_the_rest_is_ignored() {
        let event = |id: &str, kind: &str, data: &str| SseEvent {
            id: id.into(),
            kind: kind.into(),
            data: data.into(),
        };
        assert_eq!(whole(), [event("1-0", "set", "{\"a\":1}"), event("2-0", "del", "x\nü")]);
    }

    #[test]
    fn an_endless_event_is_refused() {
        let mut reader = SseReader::default();
        assert_eq!(reader.push(&vec![b'x'; SSE_EVENT_BYTES_MAX + 1]), Err(TooLong));
    }

    proptest! {
        #[test]
        fn cuts_change_nothing(cuts in proptest::collection::vec(1usize..20, 1..40)) {
            let mut reader = SseReader::default();
            let mut rest = STREAM.as_bytes();
            let mut got = Vec::new();
            for cut in cuts.into_iter().cycle() {
                let (chunk, after) = rest.split_at(cut.min(rest.len()));
                got.extend(reader.push(chunk).unwrap());
                rest = after;
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(got, whole());
        }
    }
}
