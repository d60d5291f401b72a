use std::ops::{Range, RangeInclusive};
use std::path::Path;
use std::rc::Rc;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::nearest::nearest;
use super::{Complaint, Complaints, Field, Found, Map, Refusal, Settings, Slot, Tables, Value};

/// Where something stands in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Key path.
    pub path: String,
    /// Bytes of the file.
    pub span: Range<usize>,
}

/// Reads a document: `read` takes the values out of its top table.
///
/// # Errors
/// The document is no TOML, or something in it is refused: all that is wrong, at once.
pub fn read_document<T>(
    file: &Path,
    text: &str,
    read: impl FnOnce(&mut TableReader<'_, '_>) -> T,
) -> Result<T, Complaints> {
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut complaints: Vec<_> = errors
        .iter()
        .map(|error| Complaint {
            span: error.span().unwrap_or(0..0),
            path: String::new(),
            what: format!("not TOML: {}", error.message()),
            allowed: None,
            hint: None,
        })
        .collect();
    // A document that could not be parsed as a whole would be blamed for what was skipped.
    let is_toml = complaints.is_empty();
    let top = Place { path: String::new(), span: 0..0 };
    let mut found = Vec::new();
    let mut reader = TableReader {
        table: document.get_ref(),
        place: top,
        top_keys: Rc::default(),
        complaints: &mut found,
    };
    let value = read(&mut reader);
    if is_toml {
        complaints = found;
    }
    if complaints.is_empty() {
        return Ok(value);
    }
    Err(Complaints::new(file, text, complaints))
}

/// Reads one table and gathers what is wrong with it.
pub struct TableReader<'r, 'f> {
    table: &'r DeTable<'f>,
    place: Place,
    /// Keys with a value at the top of the file: they end up in the wrong table when they are
    /// written behind a table's header.
    top_keys: Rc<[&'static str]>,
    complaints: &'r mut Vec<Complaint>,
}

impl<'r, 'f> TableReader<'r, 'f> {
    /// Reads all keys into `settings`. Keys in `others` are left for somebody else.
    pub fn read(&mut self, settings: &mut dyn Settings, others: &[&'static str]) {
        let later = settings.later();
        let mut homes = Vec::new();
        list_homes(settings, "", &mut homes);
        let mut fields = settings.fields();
        if self.place.path.is_empty() {
            let values = fields.iter().filter(|field| matches!(field.slot, Slot::Value(_)));
            self.top_keys = values.map(|field| field.key).collect();
        }
        for (key, value) in self.table {
            let name: &str = key.get_ref();
            if others.contains(&name) {
                continue;
            }
            let at = Place { path: join(&self.place.path, name), span: key.span() };
            match fields.iter_mut().find(|field| field.key == name) {
                Some(field) => self.read_field(field, at.path, value),
                None if later.contains(&name) => {
                    self.complain(&at, "not available in this version", None, None)
                }
                None => {
                    let keys: Vec<_> = fields
                        .iter()
                        .map(|field| field.key)
                        .chain(others.iter().copied())
                        .collect();
                    let hint = self.hint(name, &homes, &keys);
                    self.complain(&at, "unknown key", Some(keys.join(", ")), hint);
                }
            }
        }
        self.refuse_missing(&fields);
    }

    /// Complains about keys that have to be there.
    fn refuse_missing(&mut self, fields: &[Field<'_>]) {
        for field in fields {
            let Slot::Value(value) = &field.slot else { continue };
            if value.is_missing() && !self.has(field.key) {
                let allowed = value.allowed(&field.range);
                let place = self.place_of(field.key);
                self.complain(&place, "this key is missing", Some(allowed), None);
            }
        }
    }

    /// Reads the text behind one key ahead of everything else; complaints about it come from
    /// [`Self::read`].
    pub fn peek_text(&self, key: &str) -> Option<&str> {
        self.table.get(key).and_then(|value| value.get_ref().as_str())
    }

    /// Reads the table behind `key`, if there is one, into `settings`.
    pub fn read_table(&mut self, key: &'static str, settings: &mut dyn Settings) {
        let Some(value) = self.table.get(key) else { return };
        let (doc, range) = ("", 0..=u64::MAX);
        let mut field = Field { key, doc, range, slot: Slot::Table(settings) };
        self.read_field(&mut field, join(&self.place.path, key), value);
    }

    /// Whether the file has the key.
    pub fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Where the table stands.
    pub fn place(&self) -> Place {
        self.place.clone()
    }

    /// Where a key's value stands, if the file has the key, else where the table begins.
    pub fn place_of(&self, key: &str) -> Place {
        self.place_below(&[key])
    }

    /// Where the value stands that is reached by these keys from table to table, as far as the file
    /// has them. A number is the place of a table in a list.
    pub fn place_below(&self, keys: &[&str]) -> Place {
        let mut place = self.place.clone();
        let mut table = Some(self.table);
        let mut list = None;
        for key in keys {
            let number = key.parse::<usize>().ok();
            let element = number.and_then(|number| list.and_then(|l: &DeArray<'_>| l.get(number)));
            let value = element.or_else(|| table.and_then(|table| table.get(*key)));
            place.path = match element {
                Some(_) => format!("{}[{key}]", place.path),
                None => join(&place.path, key),
            };
            place.span = value.map_or(place.span, Spanned::span);
            table = value.and_then(|value| value.get_ref().as_table());
            list = value.and_then(|value| value.get_ref().as_array());
        }
        place
    }

    /// Calls `read` for each table of the list of tables behind `key`.
    pub fn for_each_table(&mut self, key: &str, read: impl FnMut(&mut TableReader<'_, 'f>)) {
        let Some(list) = self.table.get(key) else { return };
        let at = Place { path: join(&self.place.path, key), span: list.span() };
        self.each_of_list(at, list.get_ref(), read);
    }

    fn each_of_list(
        &mut self,
        at: Place,
        list: &'r DeValue<'f>,
        mut read: impl FnMut(&mut TableReader<'_, 'f>),
    ) {
        let DeValue::Array(elements) = list else {
            let hint = format!("write [[{}]], once for each", at.path);
            return self.complain(&at, "not a list of tables", None, Some(hint));
        };
        for (index, element) in elements.iter().enumerate() {
            let place = Place { path: format!("{}[{index}]", at.path), span: element.span() };
            match element.get_ref() {
                DeValue::Table(table) => read(&mut self.inner(table, place)),
                _ => self.complain(&place, "not a table", None, None),
            }
        }
    }

    fn each_by_name(
        &mut self,
        at: &Place,
        tables: &'r DeValue<'f>,
        mut read: impl FnMut(&str, &mut TableReader<'_, 'f>),
    ) {
        let DeValue::Table(tables) = tables else {
            let hint = format!("write [{}.NAME], once for each", at.path);
            return self.complain(at, "not tables with names", None, Some(hint));
        };
        for (key, value) in tables {
            let name: &str = key.get_ref();
            let place = Place { path: join(&at.path, name), span: value.span() };
            match value.get_ref() {
                DeValue::Table(table) => read(name, &mut self.inner(table, place)),
                _ => {
                    let hint = format!("write [{}.NAME], with a name of your choice", at.path);
                    self.complain(&place, "not a table", None, Some(hint));
                }
            }
        }
    }

    /// Reads this table as one more of `tables`.
    fn read_one_of(&mut self, tables: &mut dyn Tables, name: &str) {
        const KIND: &str = "type";
        let kinds = tables.kinds();
        if kinds.is_empty() {
            return self.read(tables.add(name, ""), &[]);
        }
        match self.peek_text(KIND).and_then(|word| kinds.iter().find(|kind| **kind == word)) {
            Some(kind) => self.read(tables.add(name, kind), &[KIND]),
            None => {
                let what = match self.has(KIND) {
                    true => "value not allowed",
                    false => "this key is missing",
                };
                let near =
                    self.peek_text(KIND).and_then(|word| nearest(word, kinds.iter().copied()));
                let hint = near.map(|word| format!("did you mean \"{word}\"?"));
                let place = self.place_of(KIND);
                self.complain(&place, what, Some(quoted(kinds)), hint);
            }
        }
    }

    /// Takes down that something is wrong.
    pub fn complain(
        &mut self,
        place: &Place,
        what: &str,
        allowed: Option<String>,
        hint: Option<String>,
    ) {
        self.complaints.push(Complaint {
            span: place.span.clone(),
            path: place.path.clone(),
            what: what.to_owned(),
            allowed,
            hint,
        });
    }

    fn inner<'i>(&'i mut self, table: &'i DeTable<'f>, place: Place) -> TableReader<'i, 'f> {
        let top_keys = Rc::clone(&self.top_keys);
        TableReader { table, place, top_keys, complaints: self.complaints }
    }

    fn read_field(&mut self, field: &mut Field<'_>, path: String, value: &'r Spanned<DeValue<'f>>) {
        let place = Place { path, span: value.span() };
        match (&mut field.slot, value.get_ref()) {
            (Slot::Value(slot), found) => self.read_value(*slot, &field.range, &place, found),
            (Slot::Table(settings), DeValue::Table(table)) => {
                self.inner(table, place).read(*settings, &[]);
            }
            (Slot::Map(map), DeValue::Table(table)) => {
                for (key, value) in table {
                    let place =
                        Place { path: join(&place.path, key.get_ref()), span: value.span() };
                    self.read_entry(*map, key.get_ref(), &place, value.get_ref());
                }
            }
            (Slot::Optional(table), DeValue::Table(found)) => {
                self.inner(found, place).read(table.open(), &[]);
            }
            (Slot::Tables(tables), found) if tables.is_list() => {
                self.each_of_list(place, found, |reader| reader.read_one_of(*tables, ""));
            }
            (Slot::Tables(tables), found) => {
                self.each_by_name(&place, found, |name, reader| reader.read_one_of(*tables, name));
            }
            (Slot::Table(_) | Slot::Optional(_) | Slot::Map(_), _) => {
                let hint = format!("write it as a table, under [{}]", place.path);
                self.complain(&place, "not a table", None, Some(hint));
            }
        }
    }

    fn read_value(
        &mut self,
        slot: &mut dyn Value,
        range: &RangeInclusive<u64>,
        place: &Place,
        value: &DeValue<'_>,
    ) {
        let elements: Vec<_> =
            value.as_array().into_iter().flatten().map(|e| found(e.get_ref())).collect();
        let found = if value.is_array() { Found::List(&elements) } else { found(value) };
        if let Err(refusal) = slot.read(found, range) {
            self.refuse(place, refusal, slot.allowed(range), found, slot.words());
        }
    }

    fn read_entry(&mut self, map: &mut dyn Map, key: &str, place: &Place, value: &DeValue<'_>) {
        let found = found(value);
        if let Err(refusal) = map.read(key, found) {
            self.refuse(place, refusal, map.allowed(), found, map.words());
        }
    }

    fn refuse(
        &mut self,
        place: &Place,
        refusal: Refusal,
        allowed: String,
        found: Found<'_>,
        words: &[&str],
    ) {
        let what = match refusal {
            Refusal::NotAllowed => "value not allowed".to_owned(),
            Refusal::NotAvailable => "not available in this version".to_owned(),
            Refusal::Because(why) => why,
        };
        let hint = match found {
            Found::Text(text) => nearest(text, words.iter().copied()),
            _ => None,
        };
        let hint = hint.map(|word| format!("did you mean \"{word}\"?"));
        self.complain(place, &what, Some(allowed), hint);
    }

    /// What to do about an unknown key: it stands in the wrong table, or is misspelt.
    fn hint(
        &self,
        name: &str,
        homes: &[(String, &'static str)],
        keys: &[&'static str],
    ) -> Option<String> {
        if let Some((table, _)) = homes.iter().find(|(_, key)| *key == name) {
            return Some(format!("`{name}` belongs in [{}]", join(&self.table_name(), table)));
        }
        if self.top_keys.contains(&name) {
            return Some(format!("`{name}` belongs at the top of the file, before any [table]"));
        }
        nearest(name, keys.iter().copied()).map(|key| format!("did you mean `{key}`?"))
    }

    /// The table as its header names it: without the numbers of list elements.
    fn table_name(&self) -> String {
        let mut name = String::new();
        for part in self.place.path.split('.').filter(|part| !part.is_empty()) {
            name = join(&name, part.split('[').next().unwrap_or(part));
        }
        name
    }
}

/// Where in the tables below `settings` each key has its home.
fn list_homes(settings: &mut dyn Settings, path: &str, homes: &mut Vec<(String, &'static str)>) {
    for field in settings.fields() {
        let path = join(path, field.key);
        let mut list_all = |table: &mut dyn Settings| {
            homes.extend(table.fields().iter().map(|below| (path.clone(), below.key)));
            list_homes(table, &path, homes);
        };
        match field.slot {
            Slot::Table(table) => list_all(table),
            Slot::Optional(table) => list_all(table.example().as_mut()),
            Slot::Value(_) | Slot::Map(_) | Slot::Tables(_) => {}
        }
    }
}

/// The words of a choice as they stand in the file.
pub fn quoted(words: &[&str]) -> String {
    words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ")
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn found<'v>(value: &'v DeValue<'_>) -> Found<'v> {
    match value {
        DeValue::String(text) => Found::Text(text),
        DeValue::Boolean(value) => Found::Boolean(*value),
        DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix())
            .map_or(Found::Other, Found::Integer),
        DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => {
            Found::Other
        }
    }
}
