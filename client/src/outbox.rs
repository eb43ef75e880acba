//! Bytes on their way to the socket.

#[derive(Debug, Default)]
pub(crate) struct Outbox {
    buffer: Vec<u8>,
    /// Bytes at the beginning that were taken.
    sent: usize,
    /// Bytes that were taken before those.
    sent_before: u64,
}

impl Outbox {
    /// Where bytes are to be added.
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// What is still to be sent.
    pub(crate) fn unsent(&self) -> &[u8] {
        &self.buffer[self.sent..]
    }

    /// How many bytes were taken so far.
    pub(crate) fn taken(&self) -> u64 {
        self.sent_before + self.sent as u64
    }

    /// How many there will have been once all of it is taken.
    pub(crate) fn end(&self) -> u64 {
        self.sent_before + self.buffer.len() as u64
    }

    /// Notes that so many bytes were taken.
    pub(crate) fn advance(&mut self, length: usize) {
        self.sent += length;
        // Let go of sent bytes once they are the greater part, so that each byte is moved at most once on average.
        if self.sent * 2 > self.buffer.len() {
            self.buffer.drain(..self.sent);
            self.sent_before += self.sent as u64;
            self.sent = 0;
        }
    }

    /// Forgets what was not taken.
    pub(crate) fn clear(&mut self) {
        self.sent_before = self.taken();
        self.buffer.clear();
        self.sent = 0;
    }
}
