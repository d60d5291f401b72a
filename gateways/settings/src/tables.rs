use super::{HasSlot, OptionalTable, Settings, Slot, Tables};

/// One of several tables. It has always the same keys ([`settings!`](crate::settings!)), or those
/// that its key `type` says ([`kinds!`](crate::kinds!)).
pub trait Content: Settings + 'static {
    /// Words of the key `type`; empty if there is no such key.
    const KINDS: &'static [&'static str] = &[];

    /// A table with the defaults of that kind.
    fn of_kind(kind: &str) -> Self;
}

/// A table that the file may leave out, which means something else than an empty one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Optional<T>(pub Option<T>);

impl<T: Settings + Default + 'static> OptionalTable for Optional<T> {
    fn open(&mut self) -> &mut dyn Settings {
        self.0.get_or_insert_default()
    }

    fn example(&self) -> Box<dyn Settings> {
        Box::new(T::default())
    }
}

impl<T: Settings + Default + 'static> HasSlot for Optional<T> {
    fn slot(&mut self) -> Slot<'_> {
        Slot::Optional(self)
    }
}

/// Tables with names that the operator chooses: `[key.NAME]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named<T> {
    /// Name and table, in the order of the names.
    pub list: Vec<(String, T)>,
}

impl<T> Named<T> {
    /// The table of that name.
    pub fn find(&self, name: &str) -> Option<&T> {
        self.list.iter().find(|(known, _)| known == name).map(|(_, table)| table)
    }

    /// All names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.list.iter().map(|(name, _)| name.as_str())
    }
}

impl<T> Default for Named<T> {
    fn default() -> Self {
        Named { list: Vec::new() }
    }
}

impl<T: Content> Tables for Named<T> {
    fn is_list(&self) -> bool {
        false
    }

    fn kinds(&self) -> &'static [&'static str] {
        T::KINDS
    }

    fn add(&mut self, name: &str, kind: &str) -> &mut dyn Settings {
        self.list.push((name.to_owned(), T::of_kind(kind)));
        &mut self.list.last_mut().expect("one was pushed").1
    }

    fn example(&self, kind: &str) -> Box<dyn Settings> {
        Box::new(T::of_kind(kind))
    }
}

impl<T: Content> HasSlot for Named<T> {
    fn slot(&mut self) -> Slot<'_> {
        Slot::Tables(self)
    }
}

/// A list of tables: `[[key]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed<T>(pub Vec<T>);

impl<T> Default for Listed<T> {
    fn default() -> Self {
        Listed(Vec::new())
    }
}

impl<T: Content> Tables for Listed<T> {
    fn is_list(&self) -> bool {
        true
    }

    fn kinds(&self) -> &'static [&'static str] {
        T::KINDS
    }

    fn add(&mut self, _: &str, kind: &str) -> &mut dyn Settings {
        self.0.push(T::of_kind(kind));
        self.0.last_mut().expect("one was pushed")
    }

    fn example(&self, kind: &str) -> Box<dyn Settings> {
        Box::new(T::of_kind(kind))
    }
}

impl<T: Content> HasSlot for Listed<T> {
    fn slot(&mut self) -> Slot<'_> {
        Slot::Tables(self)
    }
}
