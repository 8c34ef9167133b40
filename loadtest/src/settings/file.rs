//! Settings from a file, laid over each other, and without secrets.

use super::Settings;

const HIDDEN: &str = "(hidden)";

/// A URL without the name and password in it.
#[must_use]
pub fn without_password(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://{HIDDEN}@{rest}"),
        _ => url.to_owned(),
    }
}

/// A scenario file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {message}")]
pub struct FileError {
    file: String,
    message: String,
}

impl Settings {
    /// Reads a scenario file.
    ///
    /// # Errors
    ///
    /// When there is no such file, or it is not TOML, or holds what is not known.
    pub fn read(file: &std::path::Path) -> Result<Self, FileError> {
        let error = |message: String| FileError {
            file: file.display().to_string(),
            message,
        };
        let text = std::fs::read_to_string(file).map_err(|cause| error(cause.to_string()))?;
        toml::from_str(&text).map_err(|cause| {
            let line = cause
                .span()
                .map(|span| text[..span.start].lines().count().max(1));
            let line = line
                .map(|line| format!("line {line}: "))
                .unwrap_or_default();
            // The library's own text shows the source over several lines.
            error(format!("{line}{}", cause.message().replace('\n', "; ")))
        })
    }

    /// The same without what may be secret, for files that are passed on: passwords in the broker's URL,
    /// values of headers, credentials, queries of targets and of pages.
    #[must_use]
    pub fn without_secrets(&self) -> Self {
        let mut shown = self.clone();
        for target in shown.target.iter_mut().chain(&mut shown.metrics) {
            if let Some(at) = target.find('?') {
                target.truncate(at);
            }
        }
        for header in &mut shown.header {
            let name = header.split(':').next().unwrap_or_default();
            *header = format!("{name}: {HIDDEN}");
        }
        shown.auth = shown.auth.map(|_| HIDDEN.to_owned());
        shown.broker = shown.broker.map(|url| without_password(&url));
        shown
    }

    /// These settings where they say something, else those of `file`.
    #[must_use]
    pub fn over(self, file: &Self) -> Self {
        // Both hold only what was said, so one map can be laid over the other.
        let overlay = |mut below: serde_json::Value, above: serde_json::Value| {
            if let (Some(below), serde_json::Value::Object(above)) = (below.as_object_mut(), above)
            {
                below.extend(above);
            }
            below
        };
        let merged = match (serde_json::to_value(file), serde_json::to_value(&self)) {
            (Ok(below), Ok(above)) => serde_json::from_value(overlay(below, above)),
            _ => return self,
        };
        merged.unwrap_or(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Scenario;
    use crate::units::Span;

    #[test]
    fn flags_win_over_the_file() {
        let file: Settings =
            toml::from_str("scenario = \"echo\"\nclients = 5\nduration = \"3s\"\nserver-pid = [1]")
                .expect("valid");
        let flags = Settings {
            clients: Some(7),
            ..Settings::default()
        };
        let merged = flags.over(&file);
        assert_eq!(merged.clients, Some(7));
        assert_eq!(merged.duration, Some(Span::seconds(3)));
        assert_eq!(merged.scenario, Some(Scenario::Echo));
        assert_eq!(merged.server_pid, [1]);
    }

    #[test]
    fn secrets_are_not_passed_on() {
        let settings: Settings = toml::from_str(
            "target = [\"http://h/?token=secret\"]\nbroker = \"redis://u:secret@h:1\"\n\
             metrics = [\"http://h/m?token=secret\"]\n\
             header = [\"Cookie: secret\"]\nauth = '{\"t\":\"secret\"}'",
        )
        .expect("valid");
        let shown = toml::to_string(&settings.without_secrets()).expect("TOML");
        assert!(!shown.contains("secret"), "{shown}");
        assert!(
            shown.contains("@h:1") && shown.contains("Cookie"),
            "{shown}"
        );
    }

    #[test]
    fn unknown_settings_are_refused() {
        assert!(toml::from_str::<Settings>("client = 5").is_err());
        assert!(toml::from_str::<Settings>("duration = \"5\"").is_err());
    }
}
