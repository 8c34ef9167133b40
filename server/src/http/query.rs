//! Query strings, parsed as browsers parse them (`URLSearchParams`).

use std::borrow::Cow;

/// Splits `query` into decoded pairs. A repeated key keeps the place of its first occurrence and the value of its last,
/// as `Object.fromEntries` does in Node.
pub(crate) fn parse(query: &str) -> Vec<(String, String)> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    for part in query.split('&').filter(|part| !part.is_empty()) {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        let (key, value) = (decode(key).into_owned(), decode(value).into_owned());
        match pairs.iter_mut().find(|(known, _)| *known == key) {
            Some(pair) => pair.1 = value,
            None => pairs.push((key, value)),
        }
    }
    pairs
}

/// Undoes percent encoding; `+` is a space. A `%` that starts no escape stands for itself, and bytes that are no UTF-8
/// become U+FFFD: a query can be odd, but never wrong.
fn decode(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|b| b == b'%' || b == b'+') {
        return Cow::Borrowed(text);
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'+' => out.push(b' '),
            b'%' => match escape(bytes.get(at + 1..at + 3)) {
                Some(byte) => {
                    out.push(byte);
                    at += 2;
                }
                None => out.push(b'%'),
            },
            other => out.push(other),
        }
        at += 1;
    }
    Cow::Owned(match String::from_utf8_lossy(&out) {
        Cow::Borrowed(valid) => valid.to_owned(),
        Cow::Owned(replaced) => replaced,
    })
}

/// Value of two hexadecimal digits.
fn escape(digits: Option<&[u8]>) -> Option<u8> {
    let [high, low] = digits? else { return None };
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect()
    }

    #[test]
    fn parses_as_url_search_params() {
        assert_eq!(parse(""), pairs(&[]));
        assert_eq!(
            parse("EIO=4&transport=polling"),
            pairs(&[("EIO", "4"), ("transport", "polling")])
        );
        assert_eq!(parse("a=1&b=2&a=3"), pairs(&[("a", "3"), ("b", "2")]));
        assert_eq!(parse("&&flag&x==y&"), pairs(&[("flag", ""), ("x", "=y")]));
        assert_eq!(
            parse("n=a+b%20c&%C3%A9=%e2%82%ac"),
            pairs(&[("n", "a b c"), ("é", "€")])
        );
    }

    #[test]
    fn odd_escapes_stand_for_themselves() {
        assert_eq!(
            parse("a=%&b=%4&c=%zz&d=%FF&e=%+1"),
            pairs(&[
                ("a", "%"),
                ("b", "%4"),
                ("c", "%zz"),
                ("d", "\u{fffd}"),
                ("e", "% 1")
            ])
        );
    }
}
