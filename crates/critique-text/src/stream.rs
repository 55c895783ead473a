//! Text of a completion while it is written.

use crate::codec::TextCodec;

/// Text of token ids as they come: what is given out never changes later.
#[derive(Debug)]
pub struct TextStream<'a> {
    codec: &'a TextCodec,
    ids: Vec<u32>,
    /// Tokens before this one were given out before the last piece was.
    start: usize,
    /// Tokens before this one are given out.
    shown: usize,
}

impl<'a> TextStream<'a> {
    pub(crate) fn new(codec: &'a TextCodec) -> Self {
        Self {
            codec,
            ids: Vec::new(),
            start: 0,
            shown: 0,
        }
    }

    /// Takes a token and gives the text it completes: nothing while a character is cut off in
    /// its middle.
    pub fn push(&mut self, id: u32) -> String {
        self.ids.push(id);
        let text = self.tail();
        // A whole U+FFFD in the text waits for the next token, too.
        if text.ends_with('\u{FFFD}') {
            return String::new();
        }
        self.give(&text)
    }

    /// Gives what was held back, at the end.
    pub fn finish(mut self) -> String {
        let text = self.tail();
        self.give(&text)
    }

    /// Text from a little before what was not yet given: how a token reads may depend on the
    /// one before it.
    fn tail(&self) -> String {
        self.codec.decode(&self.ids[self.start..], true)
    }

    fn give(&mut self, text: &str) -> String {
        let known = self.codec.decode(&self.ids[self.start..self.shown], true);
        let new = text.get(known.len()..).unwrap_or_default().to_owned();
        self.start = self.shown;
        self.shown = self.ids.len();
        new
    }
}
