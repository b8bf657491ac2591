//! A pin: where the tree put a file that did not get the place it asked for, so that it stays there.
//!
//! The tree is a function of the state. Without a memory in the state, a file that came second to a name would move up
//! when the first one leaves: somebody else's change would move it. The pin is that memory (decision 009).
//!
//! Not here: what a candidate or a folder is called (`vfs`), who proposes pins (`vfs::pinner`).
//! Must always hold: a pin is for one naming order and one version of the rules; under any other it says nothing.

use bincode::{Decode, Encode};

/// Where a file's links stay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Pin {
    /// Version of the rules under which the links were placed.
    pub rules: u64,
    /// By number of the link; links behind the last one are where the rules want them.
    pub links: Vec<LinkPin>,
}

/// Where one link of a file stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct LinkPin {
    /// Path of its folder below the root as it is spelled, `/` between components. Empty: as the rules spell it.
    pub folder: String,
    /// The first candidate of its name that it may have; 0 is the clean name.
    pub candidate: u16,
}

impl Pin {
    /// The same pin where a newer one for the same rules speaks: what the newer one leaves empty stays as it was.
    #[must_use]
    pub fn renewed(mut self, rules: u64, links: Vec<LinkPin>) -> Self {
        let before = if self.rules == rules { std::mem::take(&mut self.links) } else { Vec::new() };
        let mut links = links;
        links.resize(links.len().max(before.len()), LinkPin::default());
        for (link, before) in links.iter_mut().zip(before) {
            if link.folder.is_empty() {
                link.folder = before.folder;
            }
        }
        Self { rules, links }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(folder: &str, candidate: u16) -> LinkPin {
        LinkPin { folder: folder.to_owned(), candidate }
    }

    #[test]
    fn a_newer_pin_keeps_the_folders_that_it_does_not_name_unless_the_rules_are_others() {
        let old = Pin { rules: 3, links: vec![link("Anime", 0), link("", 1), link("Films", 1)] };
        let new = vec![link("", 2), link("B", 1)];
        let renewed = old.clone().renewed(3, new.clone());
        assert_eq!(renewed.links, [link("Anime", 2), link("B", 1), link("Films", 0)]);
        assert_eq!(old.renewed(4, new.clone()), Pin { rules: 4, links: new });
    }
}
