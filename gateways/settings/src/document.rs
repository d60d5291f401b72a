//! What people read: the annotated default file and the reference, from the definitions.

use std::fmt::Write as _;

use super::{Field, Settings, Slot, Tables};

/// The annotated file with every key of a table and of the tables below it. `header` is the
/// table's name, empty for the top table; `brackets` are `["[", "]"]`, or double for an element of
/// a list of tables.
pub fn annotated(settings: &mut dyn Settings, header: &str, is_list: bool) -> String {
    let mut text = String::new();
    if !header.is_empty() {
        comment(&mut text, settings.about());
        let (open, close) = if is_list { ("[[", "]]") } else { ("[", "]") };
        line(&mut text, format_args!("{open}{header}{close}\n"));
    }
    text + &annotated_fields(settings, header)
}

fn annotated_fields(settings: &mut dyn Settings, header: &str) -> String {
    let mut text = String::new();
    let fields = settings.fields();
    // A key behind a table's header would belong to that table, so the values go first.
    for field in &fields {
        if let Slot::Value(value) = &field.slot {
            comment(&mut text, field.doc);
            line(&mut text, format_args!("# Allowed: {}", value.allowed(&field.range)));
            match value.toml() {
                Some(default) => line(&mut text, format_args!("{} = {default}\n", field.key)),
                None => line(&mut text, format_args!("#{} = {}\n", field.key, value.example())),
            }
        }
    }
    for field in fields {
        let header = join(header, field.key);
        match field.slot {
            Slot::Value(_) => {}
            Slot::Table(table) => text += &annotated(table, &header, false),
            Slot::Optional(table) => {
                text += &commented_out(&annotated(table.example().as_mut(), &header, false));
            }
            Slot::Map(map) => {
                comment(&mut text, field.doc);
                line(&mut text, format_args!("# Allowed: {}", map.allowed()));
                line(&mut text, format_args!("[{header}]\n#{}\n", map.example()));
            }
            Slot::Tables(tables) => text += &annotated_tables(tables, field.doc, &header),
        }
    }
    text
}

/// One table of each kind, as an example that is not in force.
fn annotated_tables(tables: &dyn Tables, doc: &str, header: &str) -> String {
    let mut text = String::new();
    comment(&mut text, doc);
    text.push('\n');
    for kind in kinds(tables) {
        let mut example = tables.example(kind);
        comment(&mut text, example.about());
        line(&mut text, format_args!("{}", title(tables, header)));
        if !kind.is_empty() {
            line(&mut text, format_args!("\n# What kind it is.\ntype = \"{kind}\""));
        }
        text.push('\n');
        text += &annotated_fields(example.as_mut(), &named(tables, header));
    }
    commented_out(&text)
}

/// The text with all that is no comment made one.
fn commented_out(text: &str) -> String {
    let mut all = String::new();
    for words in text.lines() {
        let mark = if words.is_empty() || words.starts_with('#') { "" } else { "#" };
        line(&mut all, format_args!("{mark}{words}"));
    }
    all
}

/// The kinds of tables, or one without a name.
fn kinds(tables: &dyn Tables) -> &'static [&'static str] {
    match tables.kinds() {
        [] => &[""],
        kinds => kinds,
    }
}

fn named(tables: &dyn Tables, header: &str) -> String {
    if tables.is_list() { header.to_owned() } else { format!("{header}.NAME") }
}

fn title(tables: &dyn Tables, header: &str) -> String {
    if tables.is_list() { format!("[[{header}]]") } else { format!("[{header}.NAME]") }
}

/// The reference of a table and of the tables below it, in Markdown.
pub fn reference(settings: &mut dyn Settings, header: &str, is_list: bool) -> String {
    let title = match (header, is_list) {
        ("", _) => "The top of the file".to_owned(),
        (_, true) => format!("`[[{header}]]`"),
        (_, false) => format!("`[{header}]`"),
    };
    reference_titled(settings, header, &title)
}

fn reference_titled(settings: &mut dyn Settings, header: &str, heading: &str) -> String {
    let mut text = String::new();
    line(&mut text, format_args!("## {heading}\n\n{}\n", one_line(settings.about())));
    let fields = settings.fields();
    if fields.iter().any(|field| matches!(field.slot, Slot::Value(_))) {
        line(&mut text, format_args!("| key | default | allowed | meaning |"));
        line(&mut text, format_args!("| --- | --- | --- | --- |"));
        for Field { key, doc, range, slot } in &fields {
            let Slot::Value(value) = slot else { continue };
            let unset = if value.is_missing() { "required" } else { "unset" };
            let default = value.toml().map_or(unset.to_owned(), |value| format!("`{value}`"));
            let allowed = cell(&value.allowed(range));
            let doc = cell(&one_line(doc));
            line(&mut text, format_args!("| `{key}` | {default} | {allowed} | {doc} |"));
        }
        text.push('\n');
    }
    for field in fields {
        let header = join(header, field.key);
        match field.slot {
            Slot::Value(_) => {}
            Slot::Table(table) => text += &reference(table, &header, false),
            Slot::Optional(table) => {
                text += &reference(table.example().as_mut(), &header, false);
            }
            Slot::Tables(tables) => {
                let doc = one_line(field.doc);
                line(&mut text, format_args!("## `{}`\n\n{doc}\n", title(tables, &header)));
                for kind in kinds(tables) {
                    let mut title = format!("`{}`", title(tables, &header));
                    if !kind.is_empty() {
                        title += &format!(" with `type = \"{kind}\"`");
                    }
                    let mut example = tables.example(kind);
                    let header = named(tables, &header);
                    text += &reference_titled(example.as_mut(), &header, &title);
                }
            }
            Slot::Map(map) => {
                let (doc, allowed) = (one_line(field.doc), map.allowed());
                line(&mut text, format_args!("## `[{header}]`\n\n{doc}\n"));
                line(&mut text, format_args!("Allowed: {allowed}. Example: `{}`\n", map.example()));
            }
        }
    }
    text
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    writeln!(text, "{arguments}").expect("writing to a String does not fail");
}

fn comment(text: &mut String, doc: &str) {
    for words in doc.lines() {
        line(text, format_args!("# {}", words.trim()));
    }
}

fn one_line(doc: &str) -> String {
    doc.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}

/// A bar would end the cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
