//! Passes that read tokens into caches of keys and values.
//!
//! A token sees what stands before it in several caches: what prompts share at their start, the
//! prompt, the completion so far. Sequences that are read side by side and share a cache share
//! the products over it.

use std::ops::Range;
use std::sync::Arc;

use super::attention::{BLOCK, Queries, Span, Stretch, attend, attend_tokens};
use super::cache::{Cache, Pages};
use super::layout::{Chosen, Piece};
use super::pass::{AfterRows, Before, Net, Saved, Workspace, sized};

/// Prompt tokens that a thread reads in one pass.
pub(super) const PREFILL: usize = 512;

/// What stands before some tokens: keys and values in several caches.
pub(super) type Prefix = Vec<Arc<Cache>>;

pub(super) fn tokens_of(prefix: &[Arc<Cache>]) -> usize {
    prefix.iter().map(|cache| cache.len()).sum()
}

/// Tokens to read, after what a prefix and `own` hold.
pub(super) struct Entry<'a> {
    /// Whether the output after its last token is read.
    pub(super) ends: bool,
    pub(super) ids: &'a [u32],
    pub(super) prefix: &'a [Arc<Cache>],
    pub(super) own: &'a mut Cache,
}

/// Tokens to read in passes of bounded size.
pub(super) struct Reading<'a> {
    pub(super) ids: &'a [u32],
    pub(super) prefix: Prefix,
    pub(super) own: Cache,
}

impl Net<'_> {
    /// Reads all tokens, in passes of bounded size. `ended` gets each reading as it ends, with the
    /// logits after its last token; without memory for logits none are computed.
    pub(super) fn read_all<'r>(
        &self,
        readings: &mut [Reading<'r>],
        (work, pages): (&mut Workspace, &mut Pages),
        mut logits: Option<&mut Vec<f32>>,
        mut ended: impl FnMut(usize, &mut Reading<'r>, &mut [f32]),
    ) {
        let longest = readings.iter().map(|r| r.ids.len()).max().unwrap_or(0);
        let per_pass = (2 * PREFILL / readings.len().max(1)).max(16);
        for first in (0..longest).step_by(per_pass) {
            let mut entries = Vec::new();
            let mut ending = Vec::new();
            for (index, reading) in readings.iter_mut().enumerate() {
                let Reading { ids, prefix, own } = reading;
                if first < ids.len() {
                    let last = ids.len().min(first + per_pass);
                    let ends = last == ids.len() && logits.is_some();
                    if ends {
                        ending.push(index);
                    }
                    let ids = &ids[first..last];
                    entries.push(Entry {
                        ends,
                        ids,
                        prefix,
                        own,
                    });
                }
            }
            self.read(&mut entries, work, pages);
            drop(entries);
            let Some(logits) = logits.as_deref_mut() else {
                continue;
            };
            let vocab = self.config.vocab;
            let logits = sized(logits, ending.len() * vocab);
            self.logits(&work.normed, 1.0, logits);
            for (index, logits) in ending.into_iter().zip(logits.chunks_exact_mut(vocab)) {
                ended(index, &mut readings[index], logits);
            }
        }
    }

    /// Reads the entries' tokens into their caches; `work.normed` holds a row for each entry that
    /// ends then.
    pub(super) fn read(&self, entries: &mut [Entry<'_>], work: &mut Workspace, pages: &mut Pages) {
        let mut ids = Vec::new();
        let mut positions = Vec::new();
        let (mut all, mut ends) = (Chosen::default(), Chosen::default());
        for (index, entry) in entries.iter_mut().enumerate() {
            let before = tokens_of(entry.prefix) + entry.own.len();
            ids.extend_from_slice(entry.ids);
            positions.extend((0..entry.ids.len()).map(|i| (before + i) as u32));
            entry.own.reserve(pages, entry.ids.len());
            let end = ids.len();
            all.push(index, end - entry.ids.len()..end);
            if entry.ends {
                ends.push(index, end - 1..end);
            }
        }
        work.saved
            .resize_with(work.saved.len().max(1), Saved::default);
        self.embed(&ids, &mut work.x);
        let Workspace {
            x, saved, scratch, ..
        } = &mut *work;
        let Saved { before, after } = &mut saved[0];
        let blocks = &self.decoder.blocks;
        for (layer, block) in blocks.iter().enumerate() {
            let strip = 0..ids.len();
            let strip = std::slice::from_ref(&strip);
            for mut rows in self.before_rows(strip, &positions, x, before, scratch) {
                self.before_attention(block, &mut rows);
            }
            self.write_cache(layer, entries, before, pages);
            let through = if layer + 1 == blocks.len() {
                &ends
            } else {
                &all
            };
            through.gather(x, self.config.d_model);
            let strip = 0..through.count;
            let of = Layer {
                index: layer,
                pages,
                q: &before.q,
            };
            for mut rows in self.after_rows(std::slice::from_ref(&strip), x, after, scratch) {
                for run in through
                    .pieces
                    .chunk_by(|a, b| a.rows.len() == 1 && b.rows.len() == 1)
                {
                    match run {
                        [piece] if piece.rows.len() > 1 => {
                            self.attend_cached(&of, &entries[piece.segment], piece, &mut rows);
                        }
                        singles => self.attend_singles(&of, entries, singles, &mut rows),
                    }
                }
                self.after_attention(block, &mut rows);
            }
        }
        self.final_norm(work);
        for entry in entries {
            entry.own.advance(entry.ids.len());
        }
    }

    /// Writes the keys and values of the entries' tokens.
    fn write_cache(&self, layer: usize, entries: &[Entry<'_>], of: &Before, pages: &mut Pages) {
        let stride = self.config.kv_heads * self.config.head_dim;
        let mut rows = of.k.chunks_exact(stride).zip(of.v.chunks_exact(stride));
        for entry in entries {
            for (row, (k, v)) in rows.by_ref().take(entry.ids.len()).enumerate() {
                entry.own.write(pages, layer, row, k, v);
            }
        }
    }

    /// Attention of consecutive tokens of an entry, its last ones.
    fn attend_cached(
        &self,
        layer: &Layer<'_>,
        entry: &Entry<'_>,
        piece: &Piece,
        of: &mut AfterRows<'_>,
    ) {
        let config = self.config;
        let width = config.head_dim;
        let stride = config.heads * width;
        let Piece { rows, first, .. } = piece;
        let keys = entry.sees();
        let scratch = &mut of.scratch.attention;
        let mut spans = Vec::new();
        for kv_head in 0..config.kv_heads {
            spans.clear();
            for cache in entry.prefix {
                spans.extend(layer.spans(cache, kv_head, cache.len()));
            }
            let own = entry.own.len() + entry.ids.len();
            spans.extend(layer.spans(entry.own, kv_head, own));
            for head in config.query_heads(kv_head) {
                let queries = Queries {
                    q: &layer.q[rows.start * stride + head * width..],
                    stride,
                    rows: rows.len(),
                    visible: keys - rows.len() + 1,
                    head_dim: width,
                };
                let out = &mut of.attn[first * stride + head * width..];
                attend(queries, &spans, out, stride, scratch);
            }
        }
    }

    /// Attention of one token each of several entries, their last ones.
    fn attend_singles(
        &self,
        layer: &Layer<'_>,
        entries: &[Entry<'_>],
        pieces: &[Piece],
        of: &mut AfterRows<'_>,
    ) {
        let config = self.config;
        let group = config.heads / config.kv_heads;
        let (width, stride) = (group * config.head_dim, config.heads * config.head_dim);
        let mut stretches = Vec::new();
        for pieces in pieces.chunks((BLOCK / group).max(1)) {
            let entries: Vec<&Entry<'_>> = pieces.iter().map(|p| &entries[p.segment]).collect();
            let sources = sources(&entries);
            let sees: Vec<usize> = entries
                .iter()
                .flat_map(|entry| std::iter::repeat_n(entry.sees(), group))
                .collect();
            // The heads of a token that read the same keys are rows.
            let mut rows_q = vec![0.0; pieces.len() * width];
            let mut rows_out = vec![0.0; pieces.len() * width];
            for kv_head in 0..config.kv_heads {
                for (piece, rows) in pieces.iter().zip(rows_q.chunks_exact_mut(width)) {
                    let at = piece.rows.start * stride + kv_head * width;
                    rows.copy_from_slice(&layer.q[at..at + width]);
                }
                stretches.clear();
                for source in &sources {
                    source.stretches(layer, kv_head, group, &mut stretches);
                }
                let scratch = &mut of.scratch.attention;
                attend_tokens(&rows_q, &sees, &stretches, &mut rows_out, scratch);
                for (piece, rows) in pieces.iter().zip(rows_out.chunks_exact(width)) {
                    let at = piece.first * stride + kv_head * width;
                    of.attn[at..at + width].copy_from_slice(rows);
                }
            }
        }
    }
}

/// A layer in a pass.
struct Layer<'a> {
    index: usize,
    pages: &'a Pages,
    /// Queries of all rows: `[rows, heads * head_dim]`.
    q: &'a [f32],
}

impl<'a> Layer<'a> {
    /// One head's first `tokens` tokens of a cache.
    fn spans(
        &self,
        cache: &'a Cache,
        kv_head: usize,
        tokens: usize,
    ) -> impl Iterator<Item = Span<'a>> {
        cache.spans(self.pages, self.index, kv_head, tokens)
    }
}

impl Entry<'_> {
    /// Keys that the last token sees.
    fn sees(&self) -> usize {
        tokens_of(self.prefix) + self.own.len() + self.ids.len()
    }
}

/// A cache that some of several entries see.
struct Source<'a> {
    entries: Range<usize>,
    /// Keys that they see before it.
    before: usize,
    cache: &'a Cache,
    /// Keys of the cache that they see.
    tokens: usize,
}

impl<'a> Source<'a> {
    /// Its keys and values of one head, with `group` rows for each entry.
    fn stretches(
        &self,
        layer: &Layer<'a>,
        kv_head: usize,
        group: usize,
        out: &mut Vec<Stretch<'a>>,
    ) {
        let rows = self.entries.start * group..self.entries.end * group;
        let mut before = self.before;
        for span in layer.spans(self.cache, kv_head, self.tokens) {
            out.push(Stretch {
                rows: rows.clone(),
                before,
                span,
            });
            before += span.len;
        }
    }
}

/// What entries see, for each of them in order. Neighbours that see the same cache, and the same
/// before it, do so together.
fn sources<'a>(entries: &[&'a Entry<'_>]) -> Vec<Source<'a>> {
    let mut sources = Vec::new();
    let deepest = entries.iter().map(|e| e.prefix.len()).max().unwrap_or(0);
    // Neighbours that have seen the same so far.
    let mut runs: Vec<Range<usize>> = std::iter::once(0..entries.len()).collect();
    for depth in 0..deepest {
        let mut next = Vec::new();
        for run in runs {
            let at = |entry: &&'a Entry<'_>| entry.prefix.get(depth).map(Arc::as_ptr);
            let mut start = run.start;
            for same in entries[run].chunk_by(|a, b| at(a).is_some() && at(a) == at(b)) {
                let run = start..start + same.len();
                start = run.end;
                if let Some(cache) = same[0].prefix.get(depth) {
                    sources.push(Source {
                        entries: run.clone(),
                        before: tokens_of(&same[0].prefix[..depth]),
                        cache,
                        tokens: cache.len(),
                    });
                    next.push(run);
                }
            }
        }
        runs = next;
    }
    for (index, entry) in entries.iter().enumerate() {
        sources.push(Source {
            entries: index..index + 1,
            before: tokens_of(entry.prefix),
            cache: entry.own,
            tokens: entry.own.len() + entry.ids.len(),
        });
    }
    sources
}
