//! What Tradewind logs about itself: events of the `tracing` crate, to standard error. Text for people on a
//! terminal, else one JSON object per line.

use std::env;
use std::io::{self, IsTerminal};

use tracing::Subscriber;
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use crate::config::{LogFilter, LogFormat};

/// Logging was set up already in this process.
#[derive(Debug, thiserror::Error)]
#[error("logging is set up already: {0}")]
pub struct Error(#[from] TryInitError);

/// Sets up logging for this process. Call it once, first thing.
pub fn init(filter: &LogFilter, format: LogFormat) -> Result<(), Error> {
    let terminal = io::stderr().is_terminal();
    let style = match format {
        LogFormat::Json => Style::Json,
        LogFormat::Auto if !terminal => Style::Json,
        LogFormat::Auto | LogFormat::Text => {
            Style::Text { colours: terminal && env::var_os("NO_COLOR").is_none() }
        }
    };
    // This also takes in what libraries log through the `log` crate.
    subscriber(filter, style, io::stderr).try_init()?;
    Ok(())
}

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    Text { colours: bool },
    Json,
}

fn subscriber<W>(filter: &LogFilter, style: Style, writer: W) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let layer = match style {
        Style::Text { colours } => fmt::layer().with_ansi(colours).with_writer(writer).boxed(),
        Style::Json => {
            let json = fmt::layer().json().flatten_event(true).with_current_span(true).with_span_list(false);
            json.with_writer(writer).boxed()
        }
    };
    Box::new(registry().with(layer.with_filter(filter.targets().clone())))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::config::{Config, Environment, Flags};

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(filter: &str, style: Style) -> String {
        let environment = Environment::of([("HOME", "/h"), ("TRADEWIND_LOG", filter)]);
        let config = Config::load(&Flags::default(), &environment).unwrap();
        let page = Page::default();
        let writer = page.clone();
        tracing::subscriber::with_default(subscriber(&config.log, style, move || writer.clone()), || {
            tracing::info!(port = 8080, "listening\non two lines");
            tracing::debug!(target: "scheduler::leader", "lease taken");
        });
        let bytes = page.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn json_is_one_object_per_line() {
        let text = logged("info,scheduler=debug", Style::Json);
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0]["message"], "listening\non two lines");
        assert_eq!((&lines[0]["port"], &lines[0]["level"]), (&8080.into(), &"INFO".into()));
        assert_eq!(lines[1]["target"], "scheduler::leader");
        assert!(lines[0]["timestamp"].as_str().unwrap().ends_with('Z'));
    }

    #[test]
    fn text_is_plain_and_filtered() {
        let text = logged("info", Style::Text { colours: false });
        assert!(text.contains("INFO") && text.contains("port=8080"), "{text}");
        assert!(!text.contains("lease taken") && !text.contains('\u{1b}'), "{text}");
        assert_eq!(logged("off", Style::Json), "");
    }
}
