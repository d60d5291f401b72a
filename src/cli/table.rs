//! Items of an answer as a table for people.

use serde_json::Value as Json;

/// One column.
pub(super) struct Column {
    /// What stands above it.
    pub(super) title: &'static str,
    /// Where in an item its value is: keys with dots between.
    pub(super) path: &'static str,
    /// How the value is written.
    pub(super) form: Form,
}

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// As it is, at the left.
    Text,
    /// A number, at the right.
    Number,
    /// A number of bytes with a unit.
    Bytes,
    /// Milliseconds with a unit.
    Time,
    /// Seconds with a unit.
    Seconds,
    /// Milliseconds since the Unix epoch as date and time, UTC.
    Moment,
    /// `yes` or `no`.
    YesNo,
}

impl Form {
    fn is_right(self) -> bool {
        matches!(self, Form::Number | Form::Bytes | Form::Time | Form::Seconds)
    }

    /// A value in this form; a dash for none.
    pub(super) fn show(self, value: Option<&Json>) -> String {
        let value = match value {
            None | Some(Json::Null) => return "-".into(),
            Some(value) => value,
        };
        match (self, value) {
            (Form::Bytes, Json::Number(number)) => bytes(number.as_u64().unwrap_or(0)),
            (Form::Time, Json::Number(number)) => time(number.as_u64().unwrap_or(0)),
            (Form::Seconds, Json::Number(number)) => {
                time(number.as_u64().unwrap_or(0).saturating_mul(1000))
            }
            (Form::Moment, Json::Number(number)) => moment(number.as_u64().unwrap_or(0)),
            (Form::YesNo, Json::Bool(yes)) => if *yes { "yes" } else { "no" }.into(),
            (_, Json::String(text)) => printable(text),
            (_, Json::Array(list)) => {
                let parts: Vec<_> = list.iter().map(|part| self.show(Some(part))).collect();
                parts.join(", ")
            }
            (_, other) => other.to_string(),
        }
    }
}

/// A table that is printed as its rows arrive.
pub(super) struct Table {
    columns: &'static [Column],
    widths: Vec<usize>,
    waiting: Vec<Vec<String>>,
    has_title: bool,
}

/// Rows that are looked at before the first is printed, so that the columns fit most of them.
const ROWS_AT_ONCE: usize = 1000;

impl Table {
    pub(super) fn new(columns: &'static [Column]) -> Self {
        let widths = columns.iter().map(|column| column.title.len()).collect();
        Table { columns, widths, waiting: Vec::new(), has_title: false }
    }

    /// Takes one row; the text that can be printed now.
    pub(super) fn row(&mut self, item: &Json) -> String {
        let cell = |column: &Column| column.form.show(find(item, column.path));
        self.waiting.push(self.columns.iter().map(cell).collect());
        if self.waiting.len() < ROWS_AT_ONCE { String::new() } else { self.rest() }
    }

    /// What has not been printed yet.
    pub(super) fn rest(&mut self) -> String {
        let mut rows = std::mem::take(&mut self.waiting);
        if rows.is_empty() {
            return String::new();
        }
        if !self.has_title {
            self.has_title = true;
            rows.insert(0, self.columns.iter().map(|column| column.title.to_owned()).collect());
        }
        for row in &rows {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        rows.iter().map(|row| self.line(row)).collect()
    }

    fn line(&self, row: &[String]) -> String {
        let mut line = String::new();
        for ((cell, width), column) in row.iter().zip(&self.widths).zip(self.columns) {
            let space = " ".repeat(width.saturating_sub(cell.chars().count()));
            match column.form.is_right() {
                true => line += &(space + cell),
                false => line += &(cell.clone() + &space),
            }
            line += "  ";
        }
        line.truncate(line.trim_end().len());
        line + "\n"
    }
}

/// The value behind keys with dots between.
pub(super) fn find<'j>(item: &'j Json, path: &str) -> Option<&'j Json> {
    path.split('.').try_fold(item, |json, key| json.get(key))
}

/// Text of a peer without what could disturb a terminal.
pub(super) fn printable(text: &str) -> String {
    if text.is_empty() {
        return "\"\"".into();
    }
    let show = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.into() };
    text.chars().map(show).collect()
}

/// A number of bytes with at most one digit behind the point.
pub(super) fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut value = count as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS.get(unit).copied().unwrap_or_default())
}

/// A length of time in its two greatest units.
pub(super) fn time(ms: u64) -> String {
    let seconds = ms / 1000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0 => format!("{ms}ms"),
        1..60 => format!("{seconds}s"),
        60..3600 => format!("{minutes}min {}s", seconds % 60),
        3600..86_400 => format!("{hours}h {}min", minutes % 60),
        86_400.. => format!("{days}d {}h", hours % 24),
    }
}

/// Milliseconds since the Unix epoch as date and time, UTC.
pub(super) fn moment(ms: u64) -> String {
    const DAYS_IN_400_YEARS: u64 = 146_097;
    // Years begin in March here, so that the leap day is the last one. Day 0 is 0000-03-01.
    let day = ms / 86_400_000 + 719_468;
    let (era, day) = (day / DAYS_IN_400_YEARS, day % DAYS_IN_400_YEARS);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next_year) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = era * 400 + year + next_year;
    let time = time_of_day(ms);
    let time = time.split_once('.').map_or(time.as_str(), |(seconds, _)| seconds);
    format!("{year:04}-{month:02}-{day:02} {time}Z")
}

/// Milliseconds since the Unix epoch as the time of the day, UTC.
pub(super) fn time_of_day(ms: u64) -> String {
    let (seconds, rest) = (ms / 1000 % 86_400, ms % 1000);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{hours:02}:{minutes:02}:{seconds:02}.{rest:03}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn columns_are_as_wide_as_they_must_be() {
        let mut table = Table::new(&[
            Column { title: "NAME", path: "name", form: Form::Text },
            Column { title: "COUNT", path: "at.count", form: Form::Number },
            Column { title: "HERE", path: "here", form: Form::YesNo },
        ]);
        assert_eq!(table.row(&json!({ "name": "länger", "at": { "count": 7 }, "here": true })), "");
        table.row(&json!({ "name": "a\nb", "at": {} }));
        let text = table.rest();
        let expected = "\
NAME    COUNT  HERE
länger      7  yes
a\\nb        -  -
";
        assert_eq!(text, expected);
        assert_eq!(table.rest(), "");
    }

    #[test]
    fn an_empty_table_is_nothing() {
        assert_eq!(Table::new(&[]).rest(), "");
    }

    #[test]
    fn moments_are_dates() {
        assert_eq!(moment(0), "1970-01-01 00:00:00Z");
        assert_eq!(moment(951_782_400_000), "2000-02-29 00:00:00Z");
        assert_eq!(moment(1_709_251_199_999), "2024-02-29 23:59:59Z");
        assert_eq!(moment(4_102_444_800_000), "2100-01-01 00:00:00Z");
        assert_eq!(moment(1_764_052_203_000), "2025-11-25 06:30:03Z");
        assert_eq!(time_of_day(1_700_000_000_123), "22:13:20.123");
    }

    #[test]
    fn numbers_have_units() {
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(5 << 30), "5.0 GiB");
        assert_eq!(bytes(u64::MAX), "16777216.0 TiB");
        let times: Vec<_> = [999, 59_999, 61_000, 3_660_000, 90_000_000].map(time).into();
        assert_eq!(times, ["999ms", "59s", "1min 1s", "1h 1min", "1d 1h"]);
    }
}
