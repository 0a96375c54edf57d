//! Splits what a broker sends into frames, and repairs those that carry what publishers wrote. Pure.

use super::repair::{self, Faults};

/// The end of every frame.
const FRAME_END: u8 = 0xce;
/// Type, channel and length of a frame.
const START_BYTES: usize = 7;
/// Most bytes of a frame that is repaired: more than [`frame_max`](super::connection::Purpose::frame_max) allows.
const MAX_FRAME_BYTES: usize = 2 * 1024 * 1024;

/// Not a stream of AMQP frames.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a frame has {0} bytes: more than was agreed with the broker")]
pub struct FrameTooLong(usize);

/// The frames of one connection, in the direction from the broker.
#[derive(Debug, Default)]
pub struct Frames {
    /// The beginning of a frame that has not arrived completely.
    pending: Vec<u8>,
    /// What is left of a frame that is passed on as it comes.
    passing: usize,
    /// The answer to a protocol header is no frame: the broker speaks another version and closes the connection.
    is_raw: bool,
    /// Channels, each with the faults of the delivery whose content header is to come.
    faults: Vec<(u16, Faults)>,
    /// What can be read, from `read` on.
    output: Vec<u8>,
    read: usize,
}

impl Frames {
    /// Takes what the broker has sent.
    ///
    /// # Errors
    ///
    /// If a frame is too long. The connection is of no use then.
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<(), FrameTooLong> {
        while !bytes.is_empty() {
            if self.passing > 0 || self.is_raw {
                let count = if self.is_raw { bytes.len() } else { self.passing.min(bytes.len()) };
                self.output.extend_from_slice(&bytes[..count]);
                self.passing = self.passing.saturating_sub(count);
                bytes = &bytes[count..];
                continue;
            }
            let missing = self.missing()?;
            let count = missing.min(bytes.len());
            self.pending.extend_from_slice(&bytes[..count]);
            bytes = &bytes[count..];
            if count == missing {
                self.advance();
            }
        }
        Ok(())
    }

    /// Fills `buffer` with what can be read. 0: nothing, until more is pushed.
    pub fn take(&mut self, buffer: &mut [u8]) -> usize {
        let ready = &self.output[self.read..];
        let count = ready.len().min(buffer.len());
        buffer[..count].copy_from_slice(&ready[..count]);
        self.read += count;
        if self.read == self.output.len() {
            self.output.clear();
            self.read = 0;
        }
        count
    }

    /// How many bytes the frame's start lacks, or, once that is there, the frame.
    fn missing(&self) -> Result<usize, FrameTooLong> {
        if self.pending.len() < START_BYTES {
            return Ok(START_BYTES - self.pending.len());
        }
        let whole = self.frame_bytes();
        if whole > MAX_FRAME_BYTES { Err(FrameTooLong(whole)) } else { Ok(whole - self.pending.len()) }
    }

    /// The length of the frame whose start is there, the end mark included.
    fn frame_bytes(&self) -> usize {
        let length = u32::from_be_bytes([self.pending[3], self.pending[4], self.pending[5], self.pending[6]]);
        usize::try_from(length).unwrap_or(usize::MAX).saturating_add(START_BYTES + 1)
    }

    /// Does what can be done with a start, or with a whole frame.
    fn advance(&mut self) {
        let (kind, is_start) = (self.pending[0], self.pending.len() == START_BYTES);
        match kind {
            1 | 2 if is_start => {}
            1 | 2 => {
                let frame = std::mem::take(&mut self.pending);
                self.repair(kind, &frame);
            }
            // The body of a message, a heartbeat.
            3 | 8 => {
                self.passing = self.frame_bytes() - START_BYTES;
                self.output.append(&mut self.pending);
            }
            _ => {
                self.is_raw = true;
                self.output.append(&mut self.pending);
            }
        }
    }

    fn repair(&mut self, kind: u8, frame: &[u8]) {
        let channel = u16::from_be_bytes([frame[1], frame[2]]);
        let payload = &frame[START_BYTES..frame.len() - 1];
        let repaired = if kind == 1 {
            let (repaired, faults) = repair::method(payload);
            self.faults.retain(|(known, _)| *known != channel);
            if !faults.is_empty() {
                self.faults.push((channel, faults));
            }
            repaired
        } else {
            let known = self.faults.iter().position(|(known, _)| *known == channel);
            let faults = known.map(|index| self.faults.swap_remove(index).1);
            repair::content_header(payload, faults.unwrap_or_default())
        };
        self.output.extend_from_slice(&frame[..3]);
        self.output.extend_from_slice(&u32::try_from(repaired.len()).unwrap_or(u32::MAX).to_be_bytes());
        self.output.extend_from_slice(&repaired);
        // As it came, so that the client notices if it is not the mark of an end.
        self.output.push(frame.last().copied().unwrap_or(FRAME_END));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).expect("short");
        [&[kind, 0, 1][..], &length.to_be_bytes(), payload, &[FRAME_END]].concat()
    }

    fn through(stream: &[u8], chunk: usize) -> Vec<u8> {
        let (mut frames, mut output) = (Frames::default(), Vec::new());
        for bytes in stream.chunks(chunk) {
            frames.push(bytes).expect("frames");
            let mut buffer = [0; 5];
            loop {
                match frames.take(&mut buffer) {
                    0 => break,
                    count => output.extend_from_slice(&buffer[..count]),
                }
            }
        }
        output
    }

    /// `basic.deliver` with a routing key, then the header of an empty message with the flag of a `message_id`.
    fn message(routing_key: u8, message_id: u8) -> Vec<u8> {
        let deliver = [0, 60, 0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 1, routing_key];
        let header = [0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 128, 1, message_id];
        [frame(1, &deliver), frame(2, &header)].concat()
    }

    #[test]
    fn sound_frames_pass_as_they_come_however_they_are_cut() {
        let body = vec![2; 300];
        let stream = [frame(8, b""), message(b'k', b'm'), frame(3, &body), frame(1, b"?")].concat();
        for chunk in [1, 2, 7, 8, 64, 1_000] {
            assert_eq!(through(&stream, chunk), stream, "{chunk}");
        }
    }

    #[test]
    fn the_header_names_the_faults_of_its_delivery() {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        assert!(text(through(&message(0xfc, 0xfc), 3)).contains("routing_key, message_id"));
        let two = [message(0xfc, b'm'), message(b'k', b'm')].concat();
        assert_eq!(text(through(&two, 3)).matches("routing_key").count(), 1, "only its own");
    }

    #[test]
    fn what_is_no_frame_is_left_to_the_client() {
        let header = b"AMQP\x00\x00\x09\x01 and more";
        assert_eq!(through(header, 4), header);
        let mut frames = Frames::default();
        assert_eq!(frames.push(&[2, 0, 1, 255, 0, 0, 0, 1]), Err(FrameTooLong(0xff00_0008)));
    }
}
