//! `bash`: a shell script.

use domain::dag::Task;
use futures_util::future::BoxFuture;
use serde_json::{Map, Value};

use super::program::{self, Called, Setting};
use super::{Done, On, Work};
use crate::template::{Error, Renderer};

/// Longer scripts go through a file: the kernel refuses single arguments of 128 KiB.
const LONGEST_ARGUMENT: usize = 100 << 10;

/// A rendered script.
pub(crate) struct Bash {
    command: String,
    setting: Setting,
}

/// Renders the script and what is around it.
pub(crate) async fn prepare(command: &str, task: &Task, renderer: &mut Renderer<'_>) -> Result<Bash, Error> {
    Ok(Bash {
        command: renderer.text("bash", command).await?,
        setting: Setting::render(task, renderer).await?,
    })
}

impl Work for Bash {
    fn fields(&self) -> Map<String, Value> {
        self.setting.fields(("bash_command", self.command.clone().into()))
    }

    fn run<'a>(&'a self, on: &'a On<'a>) -> BoxFuture<'a, Done> {
        Box::pin(async move {
            match self.called(on) {
                Ok(shell) => program::run(shell, Some(&self.command), &self.setting, on).await,
                Err(done) => *done,
            }
        })
    }
}

impl Bash {
    fn called(&self, on: &On<'_>) -> Result<Called, Box<Done>> {
        let Some(shell) = on.station.programs.shell() else {
            return Err(Done::failed_for_good("this worker has neither bash nor sh on its PATH").into());
        };
        let args = if self.command.len() <= LONGEST_ARGUMENT {
            vec!["-c".into(), self.command.clone().into()]
        } else {
            program::write_program(&on.place.program, &self.command)?;
            vec![on.place.program.clone().into()]
        };
        Ok(Called { program: shell, args })
    }
}
