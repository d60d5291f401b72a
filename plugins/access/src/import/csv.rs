/// The fields of one line of CSV (RFC 4180). A field in quotes may have commas and doubled quotes
/// in it, but no line break.
///
/// # Errors
/// What is wrong with the line.
pub(super) fn fields(line: &str) -> Result<Vec<String>, String> {
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let (field, behind) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_field(quoted)?,
            None => match rest.split_once(',') {
                Some((field, behind)) => (field.to_owned(), Some(behind)),
                None => (rest.to_owned(), None),
            },
        };
        fields.push(field);
        match behind {
            Some(behind) => rest = behind,
            None => return Ok(fields),
        }
    }
}

/// A field behind its first quote, and what follows its comma.
fn quoted_field(mut rest: &str) -> Result<(String, Option<&str>), String> {
    let mut field = String::new();
    loop {
        let Some((part, behind)) = rest.split_once('"') else {
            return Err("a quote is not closed on its line".to_owned());
        };
        field.push_str(part);
        if let Some(behind) = behind.strip_prefix('"') {
            field.push('"');
            rest = behind;
        } else if behind.is_empty() {
            return Ok((field, None));
        } else if let Some(behind) = behind.strip_prefix(',') {
            return Ok((field, Some(behind)));
        } else {
            return Err("behind a closed quote only a comma is allowed".to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fields_are_split_at_commas_outside_quotes() {
        assert_eq!(fields("a,,b").unwrap(), ["a", "", "b"]);
        assert_eq!(fields("").unwrap(), [""]);
        assert_eq!(fields("a,").unwrap(), ["a", ""]);
        assert_eq!(fields(r#""a,b",c"#).unwrap(), ["a,b", "c"]);
        assert_eq!(fields(r#""say ""hi""","""#).unwrap(), ["say \"hi\"", ""]);
        assert_eq!(fields(r#"a,"b"#).unwrap_err(), "a quote is not closed on its line");
        assert_eq!(fields(r#""say ""hi""","""""#).unwrap(), ["say \"hi\"", "\""]);
        assert!(fields(r#""a"b"#).is_err());
    }

    proptest! {
        #[test]
        fn quoted_fields_come_back(fields_in in prop::collection::vec("[a,\" ]{0,6}", 1..5)) {
            let quote = |field: &String| format!("\"{}\"", field.replace('"', "\"\""));
            let line = fields_in.iter().map(quote).collect::<Vec<_>>().join(",");
            prop_assert_eq!(fields(&line).unwrap(), fields_in);
        }

        #[test]
        fn any_line_is_taken_or_refused(line in "\\PC{0,40}") {
            let _ = fields(&line);
        }
    }
}
