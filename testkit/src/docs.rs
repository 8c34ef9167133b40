//! Reads the tables of `docs/`, so that tests can compare them with what programs say of themselves.

use std::collections::BTreeMap;

/// The tables under `## heading` of a file in `docs/`: for each row its first cell, without
/// backquotes, and the others as they are written.
///
/// # Panics
///
/// When there is no such file or heading, or a name stands twice.
#[must_use]
pub fn table(file: &str, heading: &str) -> BTreeMap<String, Vec<String>> {
    let path = format!("{}/../docs/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let start = text
        .find(&format!("\n## {heading}\n"))
        .unwrap_or_else(|| panic!("docs/{file} has no heading {heading:?}"));
    let section = &text[start + 4..];
    let section = &section[..section.find("\n## ").unwrap_or(section.len())];
    let mut rows = BTreeMap::new();
    for line in section.lines().filter(|line| line.starts_with("| `")) {
        let mut cells = cells(line);
        let name = cells.remove(0).replace('`', "");
        assert!(
            rows.insert(name.clone(), cells).is_none(),
            "docs/{file}: {name} twice"
        );
    }
    rows
}

/// The cells of a row. A bar within a cell is written `\|`.
fn cells(line: &str) -> Vec<String> {
    let line = line.trim().trim_matches('|').replace(r"\|", "\u{0}");
    line.split('|')
        .map(|cell| cell.trim().replace('\u{0}', "|"))
        .collect()
}

/// Fails with everything that is missing, too much, or different. Both sides are cells by name.
///
/// # Panics
///
/// When they differ.
pub fn assert_documented(
    place: &str,
    documented: &BTreeMap<String, Vec<String>>,
    real: &BTreeMap<String, Vec<String>>,
) {
    let mut problems = Vec::new();
    for (name, cells) in real {
        match documented.get(name) {
            None => problems.push(format!("{name} is missing: {cells:?}")),
            Some(found) if !found.starts_with(cells) => {
                problems.push(format!("{name} is {cells:?}, and documented as {found:?}"));
            }
            Some(found) if found.get(cells.len()).is_none_or(String::is_empty) => {
                problems.push(format!("{name} is not explained"));
            }
            Some(_) => {}
        }
    }
    for name in documented.keys().filter(|name| !real.contains_key(*name)) {
        problems.push(format!("{name} does not exist"));
    }
    assert!(problems.is_empty(), "{place}:\n{}", problems.join("\n"));
}

/// A value as these tables show it: nothing as `none`, others in backquotes.
#[must_use]
pub fn shown(value: &str) -> String {
    match value {
        "" | "none" => "none".to_owned(),
        value => format!("`{value}`"),
    }
}

/// A value in `Debug`'s words, as the tables show it: `Some` is left away, durations and text are
/// plain.
#[must_use]
pub fn shown_debug(value: &str) -> String {
    let value = match value.strip_prefix("Some(") {
        Some(inner) => inner.trim_end_matches(')'),
        None => value,
    };
    match value.trim_matches('"') {
        "None" => "none".to_owned(),
        value => shown(value),
    }
}

/// Compares each field of a configuration and its default with a table of `docs/OPTIONS.md`. All
/// fields must be named, else it does not compile.
#[macro_export]
macro_rules! documented {
    ($heading:literal, $value:expr => $type:ident { $($field:ident),+ $(,)? }) => {{
        let $type { $($field),+ } = $value;
        let real = [$((stringify!($field), format!("{:?}", $field))),+];
        let real = real.into_iter().map(|(name, value)| {
            (name.to_owned(), vec![$crate::docs::shown_debug(&value)])
        });
        let documented = $crate::docs::table("OPTIONS.md", $heading);
        $crate::docs::assert_documented("docs/OPTIONS.md", &documented, &real.collect());
    }};
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_may_hold_bars() {
        assert_eq!(cells(r"| `a\|b` | | c |"), ["`a|b`", "", "c"]);
    }

    #[test]
    #[should_panic(expected = "b is missing")]
    fn what_is_missing_is_told() {
        let row = |name: &str| (name.to_owned(), vec!["`1`".to_owned(), "text".to_owned()]);
        let documented = BTreeMap::from([row("a")]);
        assert_documented("x", &documented, &BTreeMap::from([row("a"), row("b")]));
    }

    #[test]
    #[should_panic(expected = "documented as")]
    fn another_default_is_told() {
        let documented = BTreeMap::from([("a".to_owned(), vec!["`1`".to_owned(), "t".to_owned()])]);
        let real = BTreeMap::from([("a".to_owned(), vec!["`2`".to_owned()])]);
        assert_documented("x", &documented, &real);
    }
}
