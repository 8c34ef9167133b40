//! The grammar of `tracestate`: a list of `key=value`, as much of it as matters to who passes it on.

/// Who reads it need not take more.
const MAX_BYTES: usize = 512;
const MAX_ENTRIES: usize = 32;
const MAX_TEXT: usize = 256;

/// Whether it may be passed on: of the form, with an entry at least, and not too long.
pub(super) fn is_valid(state: &str) -> bool {
    if state.len() > MAX_BYTES {
        return false;
    }
    let mut entries = 0;
    for entry in state.split(',') {
        let entry = entry.trim_matches([' ', '\t']);
        if entry.is_empty() {
            continue;
        }
        entries += 1;
        let well_formed = entry
            .split_once('=')
            .is_some_and(|(key, value)| is_key(key) && is_value(value));
        if !well_formed {
            return false;
        }
    }
    (1..=MAX_ENTRIES).contains(&entries)
}

fn is_key(key: &str) -> bool {
    let first = key.bytes().next();
    key.len() <= MAX_TEXT
        && first.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        && key.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-*/@".contains(&byte)
        })
}

fn is_value(value: &str) -> bool {
    (1..=MAX_TEXT).contains(&value.len())
        && value
            .bytes()
            .all(|byte| (b' '..=b'~').contains(&byte) && byte != b'=' && byte != b',')
}
