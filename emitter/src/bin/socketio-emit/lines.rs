//! Lines of standard input, as they come.

use std::io::BufRead;

use tokio::sync::mpsc;

use crate::exit::{Failure, code};

/// Most bytes of one line. What is longer would not be taken by a broker anyway.
const MAX_LINE: u64 = 64 << 20;

/// Lines that wait to be sent.
const AHEAD: usize = 64;

/// Reads on a thread of its own, since a terminal cannot be read without blocking.
pub(crate) fn from_standard_input() -> mpsc::Receiver<Result<String, Failure>> {
    let (sender, lines) = mpsc::channel(AHEAD);
    std::thread::spawn(move || {
        let mut input = std::io::stdin().lock();
        loop {
            let line = match read(&mut input) {
                Ok(None) => return,
                Ok(Some(line)) => Ok(line),
                Err(failure) => Err(failure),
            };
            let ended = line.is_err();
            if sender.blocking_send(line).is_err() || ended {
                return;
            }
        }
    });
    lines
}

/// The next line; `None` at the end.
fn read(input: &mut impl BufRead) -> Result<Option<String>, Failure> {
    let mut line = Vec::new();
    let read = std::io::Read::take(&mut *input, MAX_LINE).read_until(b'\n', &mut line);
    match read {
        Ok(0) => Ok(None),
        Ok(read) if read as u64 == MAX_LINE && line.last() != Some(&b'\n') => {
            Err(Failure::new(code::DATA, "the line is too long"))
        }
        Ok(_) => String::from_utf8(line)
            .map(Some)
            .map_err(|error| Failure::new(code::DATA, error)),
        Err(error) => Err(Failure::new(code::INPUT, error).at("standard input")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_needs_no_end() {
        let mut input = &b"one\n\ntwo"[..];
        let mut lines = Vec::new();
        while let Some(line) = read(&mut input).expect("text") {
            lines.push(line);
        }
        assert_eq!(lines, ["one\n", "\n", "two"]);
    }

    #[test]
    fn a_line_must_be_text_of_bounded_length() {
        let failure = read(&mut &b"\xff\n"[..]).expect_err("no UTF-8");
        assert_eq!(failure.code, code::DATA);
        let mut endless = std::io::BufReader::new(std::io::repeat(b'a'));
        let failure = read(&mut endless).expect_err("no end");
        assert_eq!(failure.code, code::DATA);
    }
}
