//! Keys and values of tokens already read, in pages that never move.
//!
//! Pages lie in slabs of memory that comes from the system and goes back to it: between two calls
//! nothing is left of them. Of a page only what is written takes memory, unless so much is
//! expected that huge pages of the system are worth their waste ([`Shape::huge`]).

use std::sync::{Arc, Mutex};

use super::attention::Span;
use super::gemm::PANEL;
use super::region::Region;
use crate::config::ModelConfig;

/// Tokens of a page.
const PAGE: usize = 64;
/// Bytes of a slab, at least.
const SLAB: usize = 32 << 20;
/// Bytes of a thread's keys and values from which on they lie in huge pages, where sequences have
/// at least `LONG` tokens: of shorter ones a good part of each page may stay unwritten.
const MANY: usize = 16 << 20;
const LONG: usize = 4 * PAGE;

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

    /// Whether a thread that samples `rows` completions at once, `tokens` long with their prompts,
    /// has its keys and values in huge pages.
    pub(crate) fn huge(self, rows: usize, tokens: usize) -> bool {
        tokens >= LONG && rows * self.bytes(tokens) >= MANY
    }

    /// Where one head's keys and values start in a page.
    fn at(self, layer: usize, kv_head: usize) -> (usize, usize) {
        let k = (layer * self.kv_heads + kv_head) * (self.keys() + self.values());
        (k, k + self.keys())
    }
}

/// The pages of one thread's caches.
#[derive(Debug)]
pub(crate) struct Pages {
    shape: Shape,
    huge: bool,
    slabs: Vec<Region>,
    /// Pages that were handed out so far; those that came back are in `free`.
    used: usize,
    free: Arc<Mutex<Vec<usize>>>,
}

impl Pages {
    /// Pages of this shape, in huge pages of the system or small ones.
    pub(crate) fn new(shape: Shape, huge: bool) -> Self {
        Self {
            shape,
            huge,
            slabs: Vec::new(),
            used: 0,
            free: Arc::default(),
        }
    }

    /// A page whose contents are open.
    fn take(&mut self) -> usize {
        let back = self.free.lock().expect("no thread panics here").pop();
        back.unwrap_or_else(|| {
            if self.used == self.slabs.len() * self.a_slab() {
                let floats = self.shape.page_floats() * self.a_slab();
                self.slabs.push(if self.huge {
                    Region::huge(floats)
                } else {
                    Region::zeros(floats)
                });
            }
            self.used += 1;
            self.used - 1
        })
    }

    /// Pages of a slab.
    fn a_slab(&self) -> usize {
        (SLAB / 4 / self.shape.page_floats()).max(1)
    }

    fn place(&self, page: usize) -> (usize, std::ops::Range<usize>) {
        let (slab, at) = (page / self.a_slab(), page % self.a_slab());
        let floats = self.shape.page_floats();
        (slab, at * floats..(at + 1) * floats)
    }

    fn page(&self, page: usize) -> &[f32] {
        let (slab, floats) = self.place(page);
        &self.slabs[slab][floats]
    }

    fn page_mut(&mut self, page: usize) -> &mut [f32] {
        let (slab, floats) = self.place(page);
        &mut self.slabs[slab][floats]
    }
}

/// Keys and values of consecutive tokens, all layers. Dropped, it gives its pages back.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    pages: Vec<usize>,
    len: usize,
    /// Where pages go back to; `None` as long as there are none.
    free: Option<Arc<Mutex<Vec<usize>>>>,
}

impl Drop for Cache {
    fn drop(&mut self) {
        if let Some(free) = &self.free
            && let Ok(mut free) = free.lock()
        {
            free.append(&mut self.pages);
        }
    }
}

impl Cache {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Makes room for `tokens` more. All memory of a cache comes from the same `pages`.
    pub(crate) fn reserve(&mut self, pages: &mut Pages, tokens: usize) {
        self.free.get_or_insert_with(|| Arc::clone(&pages.free));
        while self.pages.len() * PAGE < self.len + tokens {
            self.pages.push(pages.take());
        }
    }

    /// Counts tokens whose keys and values all layers have written.
    pub(crate) fn advance(&mut self, tokens: usize) {
        self.len += tokens;
    }

    /// Writes one layer's keys and values of the token `offset` places after the last counted one.
    ///
    /// `k` and `v`: `[kv_heads * head_dim]`.
    pub(crate) fn write(
        &self,
        pages: &mut Pages,
        layer: usize,
        offset: usize,
        k: &[f32],
        v: &[f32],
    ) {
        let shape = pages.shape;
        let (page, slot) = ((self.len + offset) / PAGE, (self.len + offset) % PAGE);
        let page = pages.page_mut(self.pages[page]);
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
    pub(crate) fn spans<'a>(
        &'a self,
        pages: &'a Pages,
        layer: usize,
        kv_head: usize,
        tokens: usize,
    ) -> impl Iterator<Item = Span<'a>> {
        let shape = pages.shape;
        let (at_k, at_v) = shape.at(layer, kv_head);
        let of = self.pages.iter().zip((0..tokens).step_by(PAGE));
        of.map(move |(&page, first)| {
            let page = pages.page(page);
            Span {
                k: &page[at_k..at_k + shape.keys()],
                v: &page[at_v..at_v + shape.values()],
                v_stride: PAGE * PANEL,
                len: PAGE.min(tokens - first),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape() -> Shape {
        Shape {
            layers: 3,
            kv_heads: 2,
            head_dim: 32,
        }
    }

    #[test]
    fn pages_come_back_and_are_handed_out_again() {
        let mut pages = Pages::new(shape(), false);
        for _ in 0..5 {
            let (mut one, mut other) = (Cache::default(), Cache::default());
            one.reserve(&mut pages, PAGE + 1);
            other.reserve(&mut pages, 1);
        }
        assert_eq!((pages.used, pages.slabs.len()), (3, 1));
    }

    #[test]
    fn caches_reach_over_several_slabs() {
        for huge in [false, true] {
            let mut pages = Pages::new(shape(), huge);
            let mut cache = Cache::default();
            let tokens = (pages.a_slab() + 1) * PAGE;
            cache.reserve(&mut pages, tokens);
            assert_eq!(pages.slabs.len(), 2);
            let (k, v) = ([1.0; 64], [2.0; 64]);
            cache.write(&mut pages, 2, tokens - 1, &k, &v);
            cache.advance(tokens);
            let last = cache.spans(&pages, 2, 1, tokens).last().unwrap();
            let at = (PAGE - 1) / PANEL * 32 * PANEL + (PAGE - 1) % PANEL;
            assert_eq!((last.k[at], last.v[(PAGE - 1) * PANEL]), (1.0, 2.0));
        }
    }

    #[test]
    fn many_keys_and_values_of_long_sequences_lie_in_huge_pages() {
        let rows = MANY.div_ceil(shape().bytes(LONG));
        assert!(shape().huge(rows, LONG));
        assert!(!shape().huge(rows - 1, LONG));
        assert!(!shape().huge(5 * rows, LONG - 1));
    }
}
