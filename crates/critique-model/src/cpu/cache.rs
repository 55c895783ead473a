//! Keys and values of tokens already read, in pages that never move.

use super::attention::Span;
use super::gemm::{Aligned, PANEL};
use crate::config::ModelConfig;

/// Tokens of a page.
const PAGE: usize = 64;

/// Sizes of a page's parts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    layers: usize,
    kv_heads: usize,
    head_dim: usize,
}

impl Shape {
    pub(crate) fn of(config: &ModelConfig) -> Self {
        Self {
            layers: config.layers,
            kv_heads: config.kv_heads,
            head_dim: config.head_dim,
        }
    }

    /// Floats of one head's keys in a page: `[head_dim, PAGE]` in panels.
    fn keys(self) -> usize {
        PAGE * self.head_dim
    }

    /// Floats of one head's values in a page: `[PAGE, head_dim]` in panels.
    fn values(self) -> usize {
        PAGE * self.head_dim.div_ceil(PANEL) * PANEL
    }

    fn page_floats(self) -> usize {
        self.layers * self.kv_heads * (self.keys() + self.values())
    }

    /// Bytes that this many tokens take at most.
    pub(crate) fn bytes(self, tokens: usize) -> usize {
        tokens.div_ceil(PAGE) * self.page_floats() * 4
    }

    /// Bytes of pages that are touched when this many tokens are written.
    pub(crate) fn written(self, tokens: usize) -> usize {
        self.page_floats() * 4 * tokens.next_multiple_of(PANEL) / PAGE
    }

    /// Where one head's keys and values start in a page.
    fn at(self, layer: usize, kv_head: usize) -> (usize, usize) {
        let k = (layer * self.kv_heads + kv_head) * (self.keys() + self.values());
        (k, k + self.keys())
    }
}

/// Keys and values of consecutive tokens, all layers.
#[derive(Debug)]
pub(crate) struct Cache {
    shape: Shape,
    pages: Vec<Aligned>,
    len: usize,
}

impl Cache {
    pub(crate) fn new(shape: Shape) -> Self {
        Self {
            shape,
            pages: Vec::new(),
            len: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Makes room for `tokens` more.
    pub(crate) fn reserve(&mut self, tokens: usize) {
        while self.pages.len() * PAGE < self.len + tokens {
            self.pages.push(Aligned::zeros(self.shape.page_floats()));
        }
    }

    /// Counts tokens whose keys and values all layers have written.
    pub(crate) fn advance(&mut self, tokens: usize) {
        self.len += tokens;
    }

    /// Writes one layer's keys and values of the token `offset` places after the last counted one.
    ///
    /// `k` and `v`: `[kv_heads * head_dim]`.
    pub(crate) fn write(&mut self, layer: usize, offset: usize, k: &[f32], v: &[f32]) {
        let shape = self.shape;
        let (page, slot) = ((self.len + offset) / PAGE, (self.len + offset) % PAGE);
        let page = &mut self.pages[page];
        let width = shape.head_dim;
        for head in 0..shape.kv_heads {
            let (at_k, at_v) = shape.at(layer, head);
            let keys = &mut page[at_k + slot / PANEL * width * PANEL..];
            for (keys, &value) in keys
                .chunks_exact_mut(PANEL)
                .zip(&k[head * width..(head + 1) * width])
            {
                keys[slot % PANEL] = value;
            }
            for (panel, v) in v[head * width..(head + 1) * width]
                .chunks(PANEL)
                .enumerate()
            {
                let to = at_v + (panel * PAGE + slot) * PANEL;
                page[to..to + v.len()].copy_from_slice(v);
            }
        }
    }

    /// One head's first `tokens` tokens, by pages.
    pub(crate) fn spans(
        &self,
        layer: usize,
        kv_head: usize,
        tokens: usize,
    ) -> impl Iterator<Item = Span<'_>> {
        let shape = self.shape;
        let (at_k, at_v) = shape.at(layer, kv_head);
        let pages = self.pages.iter().zip((0..tokens).step_by(PAGE));
        pages.map(move |(page, first)| Span {
            k: &page[at_k..at_k + shape.keys()],
            v: &page[at_v..at_v + shape.values()],
            v_stride: PAGE * PANEL,
            len: PAGE.min(tokens - first),
        })
    }
}
