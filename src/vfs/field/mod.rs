//! Fields: what rules can ask of a record, by name.
//!
//! A rule names a field (`season`, `titles/eng`, `fileType`). Some are stored properties as they are, some are read
//! with care (numbers, lists), some are derived from others when the property is absent (`fileName` from `filePath`,
//! `year` from `movieYear`).
//!
//! Not here: conditions and templates, which use the values.
//! Must always hold: an empty property counts as absent; a number is a number or absent, never garbage; the value of a
//! field is a pure function of the record.

mod derive;
mod value;

use std::cell::OnceCell;

use crate::meta::record::{Record, Value as Stored};

pub use derive::{KNOWN_FIELDS, file_type_of, sources};
pub use value::{Value, range};

/// The properties of one file, as rules see them.
pub trait Fields {
    /// The text of a property; `None` when it is absent, empty, deleted or not UTF-8.
    fn get(&self, name: &str) -> Option<&str>;

    /// Calls `visit` with name and text of every property below `prefix` (`titles/` for `titles/eng`), sorted by name.
    fn below<'a>(&'a self, prefix: &str, visit: &mut dyn FnMut(&'a str, &'a str));

    /// The virtual path, without its extension, of the video that this file belongs to (`{@stem}`). Whoever builds the
    /// tree knows it; a record alone does not.
    fn stem(&self) -> Option<&str> {
        None
    }
}

impl Fields for Record {
    fn get(&self, name: &str) -> Option<&str> {
        self.text(name)
    }

    fn below<'a>(&'a self, prefix: &str, visit: &mut dyn FnMut(&'a str, &'a str)) {
        let from = self.properties.partition_point(|p| p.name.as_ref() < prefix.as_bytes());
        for property in self.properties[from..].iter().take_while(|p| p.name.starts_with(prefix.as_bytes())) {
            let Stored::Inline(bytes) = &property.value else { continue };
            if let (Ok(name), Ok(text)) = (std::str::from_utf8(&property.name), std::str::from_utf8(bytes))
                && !text.is_empty()
            {
                visit(name, text);
            }
        }
    }
}

/// Fields from a plain map: previews of records that are not stored, and tests.
impl Fields for std::collections::BTreeMap<String, String> {
    fn get(&self, name: &str) -> Option<&str> {
        std::collections::BTreeMap::get(self, name).map(String::as_str).filter(|t| !t.is_empty())
    }

    fn below<'a>(&'a self, prefix: &str, visit: &mut dyn FnMut(&'a str, &'a str)) {
        let from = self.range::<str, _>((std::ops::Bound::Included(prefix), std::ops::Bound::Unbounded));
        for (name, text) in from.take_while(|(name, _)| name.starts_with(prefix)) {
            if !text.is_empty() {
                visit(name, text);
            }
        }
    }
}

/// How a field's text is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// As it is.
    Text,
    /// A whole number, or a list of them.
    Number,
    /// A year, also the beginning of a date.
    Year,
    /// Several items in one property.
    List,
    /// Present only when it is `true`.
    Flag,
    /// Derived from `filePath` when absent.
    FileName,
    /// Derived from `fileName` when absent.
    Extension,
    /// Derived from `extension` when absent.
    FileType,
}

/// A field's place in the table of one rule set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FieldId(pub(super) u16);

/// All fields that a rule set names; a record is asked for each at most once per placement.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FieldTable {
    fields: Vec<(String, Kind)>,
}

impl FieldTable {
    /// The place of a field; `.` and `/` are the same in names.
    pub fn intern(&mut self, name: &str) -> FieldId {
        let name = name.replace('.', "/");
        let at = self.fields.iter().position(|(known, _)| *known == name).unwrap_or_else(|| {
            let kind = derive::kind_of(&name);
            self.fields.push((name, kind));
            self.fields.len() - 1
        });
        FieldId(u16::try_from(at).expect("a rules file of bounded size names fewer fields than that"))
    }

    /// The place of a field that is already there.
    pub fn find(&self, name: &str) -> Option<FieldId> {
        let at = self.fields.iter().position(|(known, _)| known == name)?;
        Some(FieldId(u16::try_from(at).expect("the table was filled by `intern`")))
    }

    /// The name of a field.
    pub fn name(&self, id: FieldId) -> &str {
        &self.fields[usize::from(id.0)].0
    }

    /// All names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|(name, _)| name.as_str())
    }

    fn kind(&self, id: FieldId) -> Kind {
        self.fields[usize::from(id.0)].1
    }
}

/// A value and the property it was read from.
#[derive(Clone, Debug)]
pub struct Found<'a> {
    /// The value.
    pub value: Value<'a>,
    /// The property that held it; another than the field when the value was derived.
    pub source: &'a str,
}

/// The fields of one record, each read once.
pub struct Scope<'a> {
    table: &'a FieldTable,
    fields: &'a dyn Fields,
    found: Vec<OnceCell<Option<Found<'a>>>>,
}

impl<'a> Scope<'a> {
    /// A scope in which nothing is read yet.
    pub fn new(table: &'a FieldTable, fields: &'a dyn Fields) -> Self {
        Self { table, fields, found: vec![const { OnceCell::new() }; table.fields.len()] }
    }

    /// The value of a field, and where it came from.
    pub fn find(&self, id: FieldId) -> Option<&Found<'a>> {
        self.found[usize::from(id.0)]
            .get_or_init(|| derive::find(self.fields, self.table.name(id), self.table.kind(id)))
            .as_ref()
    }

    /// The value of a field.
    pub fn value(&self, id: FieldId) -> Option<&Value<'a>> {
        self.find(id).map(|found| &found.value)
    }

    /// The path of the video that this file belongs to.
    pub fn stem(&self) -> Option<&'a str> {
        self.fields.stem().filter(|s| !s.is_empty())
    }
}
