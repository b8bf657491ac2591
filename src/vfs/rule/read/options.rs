//! Reading `[options]`: what holds for all views.
//!
//! Not here: what the options do (`name`, `filter`, `tree`).
//! Must always hold: every option has a default, and a word that is none of its words is an error.

use super::Builder;
use crate::limits::COMPONENT_BYTES_MAX;
use crate::vfs::field::FieldId;
use crate::vfs::filter::Words;
use crate::vfs::name::{Blanks, Charset, Colon, NAME_BYTES_DEFAULT, NameRules};
use crate::vfs::rule::document::{Data, Node};
use crate::vfs::rule::error::RuleErrorKind;
use crate::vfs::rule::{Collision, Options, Unmatched};
use crate::vfs::template::Dialect;

/// Where unmatched files go when the file does not say.
pub const UNMATCHED_DEFAULT: &str = "Unsorted/{fileName}";
/// Fields that tell versions of one work apart, when the file does not say.
pub const LABELS_DEFAULT: [&str; 4] = ["edition", "version", "resolution", "releaseGroup"];
/// Smallest `max-name` in bytes: room for a label, a hash and a suffix.
const NAME_BYTES_MIN: usize = 64;

/// Words of `options.charset`.
pub const CHARSETS: [(&str, Charset); 3] =
    [("portable", Charset::Portable), ("posix", Charset::Posix), ("ascii", Charset::Ascii)];
/// Words of `options.colon`.
pub const COLONS: [(&str, Colon); 3] =
    [("smart", Colon::Smart), ("dash", Colon::Dash), ("remove", Colon::Remove)];
/// Words of `options.blanks`.
pub const BLANKS: [(&str, Blanks); 2] = [("collapse", Blanks::Collapse), ("keep", Blanks::Keep)];
/// Words of `options.collision`.
pub const COLLISIONS: [(&str, Collision); 2] = [("label", Collision::Label), ("hash", Collision::Hash)];

impl Builder<'_> {
    pub(in crate::vfs) fn options(&mut self, node: Option<&Node>) -> Options {
        let keys = ["charset", "colon", "blanks", "max-name", "articles", "collision", "labels", "unmatched"];
        let found = node.and_then(|node| self.entries(node, "options", keys)).unwrap_or_default();
        let [charset, colon, blanks, max_name, articles, collision, labels, unmatched] = found;
        let names = NameRules {
            charset: self.word("options.charset", charset, &CHARSETS),
            colon: self.word("options.colon", colon, &COLONS),
            blanks: self.word("options.blanks", blanks, &BLANKS),
            bytes_max: self.max_name(max_name),
        };
        let words = match articles {
            Some(node) => Words { articles: self.strings("options.articles", node) },
            None => Words::default(),
        };
        let collision = self.word("options.collision", collision, &COLLISIONS);
        let labels = match labels {
            Some(node) => self.label_fields(node),
            None => LABELS_DEFAULT.iter().map(|name| self.fields.intern(name)).collect(),
        };
        let unmatched = match unmatched {
            Some(node) => self.unmatched("options.unmatched", node),
            None => Unmatched::At(self.template("", None, UNMATCHED_DEFAULT, Dialect::Ours)),
        };
        Options { names, words, collision, labels, unmatched }
    }

    fn label_fields(&mut self, node: &Node) -> Vec<FieldId> {
        let names = self.strings("options.labels", node);
        names.iter().map(|name| self.fields.intern(name)).collect()
    }

    fn max_name(&mut self, node: Option<&Node>) -> usize {
        let range = NAME_BYTES_MIN..=COMPONENT_BYTES_MAX;
        match node.map(|node| &node.data) {
            None => NAME_BYTES_DEFAULT,
            Some(Data::Number(n)) if n.fract() == 0.0 && *n >= 0.0 && range.contains(&(*n as usize)) => {
                *n as usize
            }
            Some(_) => {
                let message = format!("a number from {NAME_BYTES_MIN} to {COMPONENT_BYTES_MAX} was expected");
                self.fail(RuleErrorKind::Value, "options.max-name", node, message);
                NAME_BYTES_DEFAULT
            }
        }
    }

    pub(super) fn unmatched(&mut self, path: &str, node: &Node) -> Unmatched {
        match self.string(path, node).as_deref() {
            Some("hide") | None => Unmatched::Hide,
            Some(text) => Unmatched::At(self.template(path, Some(node), text, Dialect::Ours)),
        }
    }
}
