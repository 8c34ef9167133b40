//! What `docs/` says of the emitter and its command, against what they say.

use std::collections::BTreeMap;
use std::process::Command;

use socketio_testkit::docs::{assert_documented, shown, table};

/// The options of `--help`: variable and default by flag.
fn options() -> BTreeMap<String, Vec<String>> {
    let output = Command::new(env!("CARGO_BIN_EXE_socketio-emit"))
        .arg("--help")
        .output()
        .expect("it runs");
    let help = String::from_utf8(output.stdout).expect("text");
    let (_, help) = help.split_once("\nOptions:\n").expect("options");
    let (help, _) = help.split_once("\nEXAMPLES:").expect("examples");
    let mut options: BTreeMap<String, String> = BTreeMap::new();
    let mut flag = String::new();
    for line in help.lines() {
        let line = line.trim();
        if line.starts_with('-') {
            let mut words = line.split([' ', ',']);
            let long = words.find(|word| word.starts_with("--"));
            long.expect(line).clone_into(&mut flag);
        }
        // What is in brackets may be wrapped.
        let text = options.entry(flag.clone()).or_default();
        *text += line;
        *text += " ";
    }
    options
        .into_iter()
        .map(|(flag, text)| {
            let variable = bracketed(&text, "[env: ").map_or_else(String::new, |variable| {
                let name = variable.split('=').next().unwrap_or_default();
                format!("`{name}`")
            });
            let default = bracketed(&text, "[default: ").unwrap_or("none");
            (flag, vec![variable, shown(default)])
        })
        .collect()
}

fn bracketed<'a>(line: &'a str, start: &str) -> Option<&'a str> {
    let (_, rest) = line.split_once(start)?;
    Some(rest.split_once(']')?.0)
}

#[test]
fn every_option_of_the_command_is_documented() {
    let real = options();
    assert!(real.len() > 25, "{real:#?}");
    let documented = table("OPTIONS.md", "socketio-emit");
    assert_documented("docs/OPTIONS.md", &documented, &real);
}
