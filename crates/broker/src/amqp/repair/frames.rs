//! Splits the broker's bytes into frames, and repairs those with content of publishers. Pure.
//!
//! The body of a message may be cut, so that its size costs no memory. Its hash then follows the part that is left.

use sha2::{Digest, Sha256};

use crate::amqp::repair::{self, Faults};

/// The types of frames.
const METHOD: u8 = 1;
const HEADER: u8 = 2;
const BODY: u8 = 3;
const HEARTBEAT: u8 = 8;
/// The end of every frame.
const FRAME_END: u8 = 0xce;
/// Type, channel and length of a frame.
const START_BYTES: usize = 7;
/// Bytes of the hash that follows a body that was cut.
pub const HASH_BYTES: usize = 32;
/// Most bytes of a frame that is repaired: more than [`frame_max`](crate::amqp::connection::Purpose::frame_max) allows.
const MAX_FRAME_BYTES: usize = 2 * 1024 * 1024;

/// The bytes are not a stream of AMQP frames.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a frame has {0} bytes: more than was agreed with the broker")]
pub struct FrameTooLong(usize);

/// The frames of one connection, in the direction from the broker.
#[derive(Debug, Default)]
pub struct Frames {
    /// Most bytes of a body. Of a longer one this many pass, followed by the SHA-256 of the whole body.
    max_body: Option<usize>,
    /// The beginning of a frame that has not arrived completely.
    pending: Vec<u8>,
    passing: Passing,
    /// Channels, each with the faults of the delivery whose content header is to come.
    faults: Vec<(u16, Faults)>,
    cuts: Vec<Cutting>,
    /// The bytes to be read, from `read` on.
    output: Vec<u8>,
    read: usize,
}

/// Bytes that pass without being collected.
#[derive(Debug, Default)]
enum Passing {
    #[default]
    Nothing,
    /// The rest of a frame.
    Frame { left: usize },
    /// The rest of a frame of a body that is cut.
    Cut { cutting: Cutting, payload: usize, keep: usize, has_frame: bool },
    /// The answer to a protocol header is no frame: the broker speaks another version and closes the connection.
    Everything,
}

/// A body that is cut.
#[derive(Debug)]
struct Cutting {
    channel: u16,
    /// Bytes still to come, and bytes of them that are kept.
    left: u64,
    keep: usize,
    hash: Sha256,
}

impl Frames {
    /// With a limit for bodies.
    pub fn with_max_body(max_body: Option<usize>) -> Self {
        Self { max_body, ..Self::default() }
    }

    /// Takes bytes of the broker.
    ///
    /// # Errors
    ///
    /// If a frame is too long. The connection is unusable then.
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<(), FrameTooLong> {
        while !bytes.is_empty() {
            let count = match std::mem::take(&mut self.passing) {
                Passing::Nothing => self.gather(bytes)?,
                Passing::Frame { left } => {
                    let count = left.min(bytes.len());
                    self.output.extend_from_slice(&bytes[..count]);
                    if left > count {
                        self.passing = Passing::Frame { left: left - count };
                    }
                    count
                }
                Passing::Cut { cutting, payload, keep, has_frame } => {
                    self.cut(bytes, cutting, payload, keep, has_frame)
                }
                Passing::Everything => {
                    self.output.extend_from_slice(bytes);
                    self.passing = Passing::Everything;
                    bytes.len()
                }
            };
            bytes = &bytes[count..];
        }
        Ok(())
    }

    /// Takes bytes that complete the start of a frame, or a frame. Returns how many it took.
    fn gather(&mut self, bytes: &[u8]) -> Result<usize, FrameTooLong> {
        let missing = self.missing()?;
        let count = missing.min(bytes.len());
        self.pending.extend_from_slice(&bytes[..count]);
        if count == missing {
            self.advance();
        }
        Ok(count)
    }

    /// Takes a part of a body that is cut. Returns how many bytes it took.
    fn cut(
        &mut self,
        bytes: &[u8],
        mut cutting: Cutting,
        payload: usize,
        keep: usize,
        has_frame: bool,
    ) -> usize {
        if payload > 0 {
            let count = payload.min(bytes.len());
            cutting.hash.update(&bytes[..count]);
            let kept = keep.min(count);
            self.output.extend_from_slice(&bytes[..kept]);
            self.passing = Passing::Cut { cutting, payload: payload - count, keep: keep - kept, has_frame };
            return count;
        }
        if has_frame {
            self.output.push(bytes[0]);
        }
        if cutting.left > 0 {
            self.cuts.push(cutting);
        } else {
            let hash = cutting.hash.finalize();
            self.start_frame(BODY, cutting.channel, HASH_BYTES);
            self.output.extend_from_slice(&hash);
            self.output.push(FRAME_END);
        }
        1
    }

    /// Fills `buffer` with repaired bytes. 0: none, until more is pushed.
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

    /// The number of bytes that the frame's start lacks, or, once that is complete, the frame.
    fn missing(&self) -> Result<usize, FrameTooLong> {
        if self.pending.len() < START_BYTES {
            return Ok(START_BYTES - self.pending.len());
        }
        let whole = self.frame_bytes();
        if whole > MAX_FRAME_BYTES { Err(FrameTooLong(whole)) } else { Ok(whole - self.pending.len()) }
    }

    /// The length of the frame whose start is complete, the end mark included.
    fn frame_bytes(&self) -> usize {
        let length = u32::from_be_bytes([self.pending[3], self.pending[4], self.pending[5], self.pending[6]]);
        usize::try_from(length).unwrap_or(usize::MAX).saturating_add(START_BYTES + 1)
    }

    /// Handles a start, or a whole frame.
    fn advance(&mut self) {
        let (kind, is_start) = (self.pending[0], self.pending.len() == START_BYTES);
        match kind {
            METHOD | HEADER if is_start => {}
            METHOD | HEADER => self.repair(kind),
            BODY | HEARTBEAT => self.pass(kind),
            _ => {
                self.passing = Passing::Everything;
                self.output.append(&mut self.pending);
            }
        }
    }

    /// Lets the rest of a frame pass whose start is complete.
    fn pass(&mut self, kind: u8) {
        let (channel, length) = (self.channel(), self.frame_bytes() - START_BYTES);
        let cut = self.cuts.iter().position(|cutting| kind == BODY && cutting.channel == channel);
        let Some(cut) = cut else {
            self.passing = Passing::Frame { left: length };
            self.output.append(&mut self.pending);
            return;
        };
        let mut cutting = self.cuts.swap_remove(cut);
        let payload = length - 1;
        let keep = cutting.keep.min(payload);
        cutting.keep -= keep;
        cutting.left = cutting.left.saturating_sub(payload as u64);
        self.pending.clear();
        if keep > 0 {
            self.start_frame(BODY, channel, keep);
        }
        self.passing = Passing::Cut { cutting, payload, keep, has_frame: keep > 0 };
    }

    fn channel(&self) -> u16 {
        u16::from_be_bytes([self.pending[1], self.pending[2]])
    }

    fn start_frame(&mut self, kind: u8, channel: u16, length: usize) {
        self.output.push(kind);
        self.output.extend_from_slice(&channel.to_be_bytes());
        self.output.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    }

    fn repair(&mut self, kind: u8) {
        let channel = self.channel();
        let frame = std::mem::take(&mut self.pending);
        let payload = &frame[START_BYTES..frame.len() - 1];
        let known = self.faults.iter().position(|(known, _)| *known == channel);
        let faults = known.map(|index| self.faults.swap_remove(index).1).unwrap_or_default();
        // Nothing more arrives on this channel.
        self.cuts.retain(|cutting| cutting.channel != channel);
        let repaired = if kind == METHOD {
            let (repaired, faults) = repair::method(payload);
            if !faults.is_empty() {
                self.faults.push((channel, faults));
            }
            repaired
        } else {
            repair::content_header(payload, faults, self.begin_cut(channel, payload))
        };
        self.start_frame(kind, channel, repaired.len());
        self.output.extend_from_slice(&repaired);
        // Unchanged, so that the client notices a wrong end mark.
        self.output.push(frame.last().copied().unwrap_or(FRAME_END));
    }

    /// Cuts the body of a content header, if it is too long. Returns the size that is left.
    fn begin_cut(&mut self, channel: u16, header: &[u8]) -> Option<u64> {
        let (left, keep) = (repair::body_bytes(header)?, self.max_body?);
        if left <= keep as u64 {
            return None;
        }
        self.cuts.push(Cutting { channel, left, keep, hash: Sha256::new() });
        Some((keep + HASH_BYTES) as u64)
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

    #[test]
    fn a_long_body_is_cut_and_followed_by_its_hash() {
        let header = |bytes: u8| {
            let mut header = message(b'k', b'm');
            let size = header.len() - 5; // before the flags, the property and the end
            header[size - 1] = bytes;
            header
        };
        let (one, two, three) = ([1; 4], [2; 3], [3; 2]);
        let stream = [
            header(9),
            frame(3, &one),
            frame(8, b""),
            frame(3, &two),
            frame(3, &three),
            header(5),
            frame(3, b"whole"),
        ]
        .concat();
        let cut = |chunk| {
            let (mut frames, mut output) = (Frames::with_max_body(Some(5)), Vec::new());
            for bytes in stream.chunks(chunk) {
                frames.push(bytes).expect("frames");
            }
            let mut buffer = [0; 1_000];
            let count = frames.take(&mut buffer);
            output.extend_from_slice(&buffer[..count]);
            output
        };
        let output = cut(1_000);
        assert!([1, 2, 9].into_iter().all(|chunk| cut(chunk) == output), "however it is cut");
        let hash = Sha256::digest([&one[..], &two, &three].concat());
        let bodies = [
            frame(3, &one),
            frame(8, b""),
            frame(3, &two[..1]),
            frame(3, &hash),
            header(5),
            frame(3, b"whole"),
        ];
        assert!(output.ends_with(&bodies.concat()), "{output:?}");
        let text = String::from_utf8_lossy(&output);
        assert_eq!(text.matches("snorri-cut").count(), 1);
    }
}
