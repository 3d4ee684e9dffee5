use super::artifacts;
use super::provider::Provider;
use super::rig::{Rig, STAGING, body};
use crate::clock::ManualClock;
use crate::crash_host::{Answer, Command, Line, Point, Request, Sight};
use billhook::operation::State;
use billhook_plugin_api::Hook;
use std::collections::BTreeMap;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};

/// How long a process may be silent: it only ever waits for itself, so that this is reached when it hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// More than any operation needs: beyond this many steps of time it goes in circles.
const MOST_STEPS: u32 = 2_000;

/// A crash host that runs beside a rig's panel, on the rig's wall time.
pub struct Process {
    child: Child,
    input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    clock: ManualClock,
    next_id: u64,
    answers: BTreeMap<u64, Answer>,
    at: Option<Point>,
}

/// The process came to its point instead of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut(pub Point);

impl Process {
    /// Starts a host in the rig's folder, and waits until it takes hooks or has come to its point.
    ///
    /// # Panics
    ///
    /// When it does not start, as the harness does whenever a process is not as it should be.
    pub async fn start<P: Provider>(rig: &Rig<P>, stop_at: Option<Point>) -> Self {
        let mut command = tokio::process::Command::new(artifacts::path("crash-host"));
        command.arg("--config").arg(rig.config_path()).arg("--staging").arg(&STAGING.1);
        command.arg("--prober").arg(artifacts::path("billhook"));
        command.args(["--wall-ms", &rig.panel_clock.now_ms().to_string()]);
        if let Some(point) = stop_at {
            command.args(["--stop-at", &point.to_string()]);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("the crash host starts");
        let input = child.stdin.take().expect("its input is piped");
        let lines = BufReader::new(child.stdout.take().expect("its output is piped")).lines();
        let clock = rig.panel_clock.clone();
        let mut process = Self { child, input, lines, clock, next_id: 1, answers: BTreeMap::new(), at: None };
        let is_up = |line: &Line| matches!(line, Line::Ready | Line::At { .. });
        while !is_up(&process.line().await) {}
        process
    }

    /// Asks, and waits for the answer or for the process to come to its point.
    pub async fn ask(&mut self, command: Command) -> Result<Answer, Cut> {
        let id = self.send(command).await;
        self.answer(id).await
    }

    /// Asks without waiting; the id is for [`answer`](Self::answer) and [`answered`](Self::answered).
    pub async fn send(&mut self, command: Command) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        let mut text = serde_json::to_string(&Request { id, command }).expect("a request is JSON");
        text.push('\n');
        self.input.write_all(text.as_bytes()).await.expect("the crash host reads");
        id
    }

    /// Waits for an answer, or for the process to come to its point.
    pub async fn answer(&mut self, id: u64) -> Result<Answer, Cut> {
        loop {
            if let Some(answer) = self.answers.get(&id) {
                return Ok(answer.clone());
            }
            if let Some(point) = self.at {
                return Err(Cut(point));
            }
            self.line().await;
        }
    }

    /// The answer that has come, if it has.
    pub fn answered(&self, id: u64) -> Option<&Answer> {
        self.answers.get(&id)
    }

    /// Asks for a hook on a service, as `shop` would, under this key.
    pub fn hook(hook: Hook, service: &str, key: &str) -> Command {
        Command::Accept { hook, body: body(hook, service), key: key.to_owned() }
    }

    /// How the operation stands; `None` when there is none.
    pub async fn sight(&mut self, operation: &str) -> Result<Option<Sight>, Cut> {
        match self.ask(Command::State { operation: operation.to_owned() }).await? {
            Answer::Operation(sight) => Ok(sight),
            other => panic!("an operation was asked for, not {other:?}"),
        }
    }

    /// Moves both clocks until the operation is final or needs a person; `look` sees it at every rest.
    pub async fn drive(&mut self, operation: &str, mut look: impl FnMut(&Sight)) -> Result<Sight, Cut> {
        for _ in 0..MOST_STEPS {
            let next_in_ms = match self.ask(Command::Rest).await? {
                Answer::Idle { next_in_ms } => next_in_ms,
                other => panic!("a rest was asked for, not {other:?}"),
            };
            let sight = self.sight(operation).await?;
            let sight = sight.unwrap_or_else(|| panic!("{operation} was accepted and is not there"));
            look(&sight);
            if sight.state.is_final() || sight.state == State::Attention {
                return Ok(sight);
            }
            let Some(ms) = next_in_ms else {
                panic!("{operation} is {}, and nothing is left to wait for", sight.state);
            };
            self.advance(ms).await?;
        }
        panic!("{operation} does not end");
    }

    /// Moves the panel's clock and the process's.
    pub async fn advance(&mut self, ms: u64) -> Result<(), Cut> {
        // The panel's first: whatever wakes in the host must find the panel at its time.
        self.clock.advance(Duration::from_millis(ms));
        self.ask(Command::Advance { ms }).await.map(|_| ())
    }

    /// Ends it with SIGKILL. What it had written by then is still read.
    pub async fn kill(&mut self) {
        self.child.start_kill().expect("it is there to be killed");
        while let Some(line) = self.lines.next_line().await.expect("its output is read") {
            // The last line may be cut short by the kill: then nobody has been told.
            if let Ok(line) = serde_json::from_str(&line) {
                self.note(&line);
            }
        }
        let status = self.child.wait().await.expect("it ends");
        assert!(was_killed(status), "it ended by itself: {status}");
    }

    /// Ends it in good order.
    pub async fn stop(mut self) {
        self.ask(Command::Stop).await.expect("it stops");
        assert!(patiently(self.child.wait()).await.expect("it ends").success());
    }

    async fn line(&mut self) -> Line {
        let line = patiently(self.lines.next_line()).await.expect("its output is read");
        let Some(line) = line else { panic!("the crash host ended by itself") };
        let line = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}"));
        self.note(&line);
        line
    }

    fn note(&mut self, line: &Line) {
        match line {
            Line::Ready => {}
            Line::At { point } => self.at = Some(*point),
            Line::Answer { id, answer } => {
                self.answers.insert(*id, answer.clone());
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a process that hangs moves no clock; reached only when a test fails")]
async fn patiently<T>(future: impl Future<Output = T>) -> T {
    let waited = tokio::time::timeout(PATIENCE, future).await;
    waited.unwrap_or_else(|_| panic!("the crash host was silent for {PATIENCE:?}"))
}

fn was_killed(status: ExitStatus) -> bool {
    use std::os::unix::process::ExitStatusExt as _;
    // SIGKILL has this number everywhere.
    status.signal() == Some(9)
}
