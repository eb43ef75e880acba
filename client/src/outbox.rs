//! Written requests on their way to the socket.

#[derive(Debug, Default)]
pub(crate) struct Outbox {
    buffer: Vec<u8>,
    /// Bytes at the beginning that the socket has taken.
    sent: usize,
}

impl Outbox {
    /// Where requests are to be written.
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// What is still to be sent.
    pub(crate) fn unsent(&self) -> &[u8] {
        &self.buffer[self.sent..]
    }

    /// Notes that the socket took so many bytes.
    pub(crate) fn advance(&mut self, length: usize) {
        self.sent += length;
        // Let go of sent bytes once they are the greater part, so that each byte is moved at most once on average.
        if self.sent * 2 > self.buffer.len() {
            self.buffer.drain(..self.sent);
            self.sent = 0;
        }
    }

    pub(crate) fn clear(&mut self) {
        self.buffer.clear();
        self.sent = 0;
    }
}
