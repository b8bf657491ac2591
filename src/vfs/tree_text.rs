//! The texts of the tree, packed: hashIds, source paths and names without the allocator's cost for each block.
//!
//! A heap block of its own costs a file some 16 bytes for the allocator's header and rounding, and 8 more for a wide
//! pointer. Here texts lie one behind the other in pages; a freed place is used again for a text of the same size.
//!
//! Not here: what a text says (`tree_node`).
//! Must always hold: a text stays as it was put until it is taken; what nobody can use is less than [`Texts::is_loose`]
//! allows, because the tree then packs everything anew.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

/// Bytes of a page, but for those with one larger text.
const PAGE: usize = 1 << 16;
/// Texts begin at multiples of this, so that 32 bits address 16 GiB.
const GRAIN: usize = 4;
/// Freed bytes that are never worth packing everything anew. Few in tests, so that it happens.
const LOOSE_BYTES_MIN: usize = if cfg!(test) { 64 } else { 1 << 20 };

/// Where a text lies. Neither `Clone` nor `Copy`: who has it owns the text.
#[derive(Debug)]
pub(super) struct Text {
    /// Its grain, counted from one.
    at: NonZeroU32,
    len: u32,
}

/// The texts.
#[derive(Debug, Default)]
pub(super) struct Texts {
    pages: Vec<Vec<u8>>,
    /// The page that texts are appended to.
    open: Option<usize>,
    /// Freed places by their number of grains.
    free: BTreeMap<usize, Vec<NonZeroU32>>,
    /// Pages that are not in use.
    free_pages: Vec<usize>,
    used_bytes: usize,
    free_bytes: usize,
}

impl Texts {
    /// Keeps a text.
    pub(super) fn put(&mut self, text: &[u8]) -> Text {
        let room = room(text.len());
        let at = match self.free.get_mut(&room).and_then(Vec::pop) {
            Some(at) => {
                self.free_bytes -= room;
                let (page, from) = place(at);
                self.pages[page][from..from + text.len()].copy_from_slice(text);
                at
            }
            None => self.append(text, room),
        };
        self.used_bytes += room;
        Text { at, len: u32::try_from(text.len()).expect("texts are bounded far below 4 GiB") }
    }

    fn append(&mut self, text: &[u8], room: usize) -> NonZeroU32 {
        let fits = |page: &usize| self.pages[*page].len() + room <= PAGE;
        let page = match self.open.filter(fits) {
            Some(page) => page,
            None => {
                let page = self.new_page(room.max(PAGE));
                self.open = Some(page);
                page
            }
        };
        let bytes = &mut self.pages[page];
        let grain = (page * PAGE + bytes.len()) / GRAIN + 1;
        bytes.extend_from_slice(text);
        bytes.resize(bytes.len() + room - text.len(), 0);
        u32::try_from(grain).ok().and_then(NonZeroU32::new).expect("less than 16 GiB of texts")
    }

    fn new_page(&mut self, bytes: usize) -> usize {
        let page = self.free_pages.pop().unwrap_or_else(|| {
            self.pages.push(Vec::new());
            self.pages.len() - 1
        });
        self.pages[page] = Vec::with_capacity(bytes);
        page
    }

    /// A text.
    pub(super) fn get(&self, text: &Text) -> &[u8] {
        let (page, from) = place(text.at);
        &self.pages[page][from..from + text.len as usize]
    }

    /// A text that was put as a string.
    pub(super) fn get_str(&self, text: &Text) -> &str {
        std::str::from_utf8(self.get(text)).expect("names were text when they were put")
    }

    /// Forgets a text.
    pub(super) fn take(&mut self, text: Text) {
        let room = room(text.len as usize);
        self.used_bytes -= room;
        let (page, _) = place(text.at);
        if room > PAGE {
            self.pages[page] = Vec::new();
            self.free_pages.push(page);
            self.open = self.open.filter(|open| *open != page);
        } else {
            self.free.entry(room).or_default().push(text.at);
            self.free_bytes += room;
        }
    }

    /// Whether freed places that nothing fits into waste more than an eighth.
    pub(super) fn is_loose(&self) -> bool {
        self.free_bytes > LOOSE_BYTES_MIN && self.free_bytes > self.used_bytes / 8
    }

    /// Heap bytes.
    pub(super) fn bytes(&self) -> usize {
        let free: usize = self.free.values().map(|places| places.capacity() * 4).sum();
        self.pages.iter().map(Vec::capacity).sum::<usize>() + free
    }
}

/// Bytes that a text takes. An empty one takes a place, too, so that each has its own.
fn room(len: usize) -> usize {
    len.max(1).next_multiple_of(GRAIN)
}

/// Page and first byte of a place.
fn place(at: NonZeroU32) -> (usize, usize) {
    let byte = (at.get() as usize - 1) * GRAIN;
    (byte / PAGE, byte % PAGE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn texts_stay_as_they_were_put(ops in prop::collection::vec((0usize..40, 0usize..9), 0..400)) {
            // Small ones, and some that are as large as a page or larger.
            let sizes = [0, 1, 3, 4, 5, 17, 30_000, PAGE, PAGE + 1];
            let (mut texts, mut held) = (Texts::default(), BTreeMap::new());
            for (n, (slot, size)) in ops.into_iter().enumerate() {
                let text = vec![n as u8; sizes[size]];
                if let Some((old, was)) = held.insert(slot, (texts.put(&text), text)) {
                    prop_assert_eq!(texts.get(&old), &was[..]);
                    texts.take(old);
                }
                for (text, is) in held.values() {
                    prop_assert_eq!(texts.get(text), &is[..]);
                }
            }
            for (_, (text, _)) in held {
                texts.take(text);
            }
            prop_assert_eq!(texts.used_bytes, 0);
        }
    }

    #[test]
    fn what_is_freed_is_used_again_or_seen_as_loose() {
        let mut texts = Texts::default();
        let first: Vec<Text> = (0..40_000).map(|n| texts.put(format!("{n:060}").as_bytes())).collect();
        let full = texts.bytes();
        first.into_iter().for_each(|text| texts.take(text));
        assert!(texts.is_loose());
        let again: Vec<Text> = (0..40_000).map(|n| texts.put(format!("{n:058}").as_bytes())).collect();
        assert!(!texts.is_loose() && again.len() == 40_000);
        assert!(texts.bytes() <= full + 40_000 * 8, "{} after {full}", texts.bytes());
    }
}
