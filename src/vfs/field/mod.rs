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

use crate::meta::record::{Property, Record, Value as Stored};

pub use derive::{KNOWN_FIELDS, file_type_of, sources};
pub use value::{Value, range};

/// The properties of one file, as rules see them.
pub trait Fields {
    /// The text of a property; `None` when it is absent, empty, deleted or not UTF-8.
    fn get(&self, name: &str) -> Option<&str>;

    /// Calls `found` with place and text of each of `names` (sorted) that is there. One walk over sorted properties
    /// costs a fraction of a search for each name; [`walk`] is that walk.
    fn get_all<'a>(&'a self, names: &[String], found: &mut dyn FnMut(usize, &'a str)) {
        for (at, name) in names.iter().enumerate() {
            if let Some(text) = self.get(name) {
                found(at, text);
            }
        }
    }

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

    fn get_all<'a>(&'a self, names: &[String], found: &mut dyn FnMut(usize, &'a str)) {
        walk(self, names, |at, property| {
            if let Some(text) = inline_text(property) {
                found(at, text);
            }
        });
    }

    fn below<'a>(&'a self, prefix: &str, visit: &mut dyn FnMut(&'a str, &'a str)) {
        let from = self.properties.partition_point(|p| p.name.as_ref() < prefix.as_bytes());
        for property in self.properties[from..].iter().take_while(|p| p.name.starts_with(prefix.as_bytes())) {
            if let (Ok(name), Some(text)) = (std::str::from_utf8(&property.name), inline_text(property)) {
                visit(name, text);
            }
        }
    }
}

/// The text of a property; `None` when it is empty, deleted, chunked or not UTF-8.
fn inline_text(property: &Property) -> Option<&str> {
    let Stored::Inline(bytes) = &property.value else { return None };
    std::str::from_utf8(bytes).ok().filter(|text| !text.is_empty())
}

/// Calls `found` with each property of a record whose name is among `names`, which are sorted like the record's own.
pub fn walk<'r>(record: &'r Record, names: &[String], mut found: impl FnMut(usize, &'r Property)) {
    let mut at = 0;
    for property in &record.properties {
        let name = property.name.as_ref();
        while at < names.len() && names[at].as_bytes() < name {
            at += 1;
        }
        if at == names.len() {
            return;
        }
        if names[at].as_bytes() == name {
            found(at, property);
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

/// One field that a rule set names.
#[derive(Clone, Debug, PartialEq)]
struct Field {
    name: String,
    kind: Kind,
    /// Places of the properties it is read from, itself first.
    reads: Vec<usize>,
}

/// All fields that a rule set names, and all properties they are read from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FieldTable {
    fields: Vec<Field>,
    /// Properties, sorted. Complete once the table is sealed.
    properties: Vec<String>,
}

impl FieldTable {
    /// The place of a field; `.` and `/` are the same in names.
    pub fn intern(&mut self, name: &str) -> FieldId {
        let name = name.replace('.', "/");
        let at = self.fields.iter().position(|known| known.name == name).unwrap_or_else(|| {
            let kind = derive::kind_of(&name);
            self.fields.push(Field { name, kind, reads: Vec::new() });
            self.fields.len() - 1
        });
        FieldId(u16::try_from(at).expect("a rules file of bounded size names fewer fields than that"))
    }

    /// Works out where each field is read from. To be called when the last field is in, before the first [`Scope`].
    pub fn seal(&mut self) {
        let mut properties: Vec<String> =
            self.fields.iter().flat_map(|f| derive::reads(&f.name, f.kind)).collect();
        properties.sort();
        properties.dedup();
        for field in &mut self.fields {
            let reads = derive::reads(&field.name, field.kind);
            let at = |name: &String| properties.binary_search(name).expect("every property was put in above");
            field.reads = reads.iter().map(at).collect();
        }
        self.properties = properties;
    }

    /// The place of a field that is already there.
    pub fn find(&self, name: &str) -> Option<FieldId> {
        let at = self.fields.iter().position(|known| known.name == name)?;
        Some(FieldId(u16::try_from(at).expect("the table was filled by `intern`")))
    }

    /// The name of a field.
    pub fn name(&self, id: FieldId) -> &str {
        &self.fields[usize::from(id.0)].name
    }

    /// All names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|field| field.name.as_str())
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

/// The fields of one record, each worked out once.
pub struct Scope<'a> {
    table: &'a FieldTable,
    fields: &'a dyn Fields,
    /// The texts of `table.properties`.
    texts: Vec<Option<&'a str>>,
    found: Vec<OnceCell<Option<Found<'a>>>>,
}

impl<'a> Scope<'a> {
    /// Reads the properties of a record that the table wants.
    pub fn new(table: &'a FieldTable, fields: &'a dyn Fields) -> Self {
        let mut texts = vec![None; table.properties.len()];
        fields.get_all(&table.properties, &mut |at, text| texts[at] = Some(text));
        Self { table, fields, texts, found: vec![const { OnceCell::new() }; table.fields.len()] }
    }

    /// The value of a field, and where it came from.
    pub fn find(&self, id: FieldId) -> Option<&Found<'a>> {
        let at = usize::from(id.0);
        let field = &self.table.fields[at];
        let read = |number: usize| {
            let at = *field.reads.get(number)?;
            Some((self.texts[at]?, self.table.properties[at].as_str()))
        };
        self.found[at].get_or_init(|| derive::find(self.fields, &field.name, field.kind, &read)).as_ref()
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
