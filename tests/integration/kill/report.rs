use super::trial::{Ended, Trial};
use billhook::operation::State;
use billhook_tests::harness::Provider;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

/// What every trial ended as.
#[derive(Debug, Default)]
pub struct Report {
    scenarios: Vec<(&'static str, Tally)>,
    complaints: Vec<String>,
}

#[derive(Debug, Default)]
struct Tally {
    trials: usize,
    ended: BTreeMap<&'static str, usize>,
    doubted: usize,
    places: BTreeMap<String, BTreeMap<&'static str, Vec<String>>>,
}

impl Report {
    /// Takes a trial in.
    pub fn add<P: Provider>(&mut self, trial: &Trial<P>, ended: Ended) {
        let name = trial.scenario.name;
        let at = self.scenarios.iter().position(|(known, _)| *known == name).unwrap_or_else(|| {
            self.scenarios.push((name, Tally::default()));
            self.scenarios.len() - 1
        });
        let tally = &mut self.scenarios[at].1;
        tally.trials += 1;
        *tally.ended.entry(ended.state.as_str()).or_default() += 1;
        tally.doubted += usize::from(ended.was_doubted);
        let word = if ended.was_doubted { format!("{}*", ended.state) } else { ended.state.to_string() };
        tally.places.entry(trial.blow.place.clone()).or_default().entry(trial.blow.moment).or_default().push(word);
        self.complaints.extend(ended.complaints.into_iter().map(|text| format!("{trial}: {text}")));
    }

    /// A trial that did not come to its end.
    pub fn broke(&mut self, name: &str) {
        self.complaints.push(format!("{name}: broke off"));
    }

    /// What was wrong, by trial.
    pub fn complaints(&self) -> Vec<String> {
        self.complaints.clone()
    }

    /// Prints the number of trials and what each ended as.
    pub fn print(&self, took: Duration) {
        let mut text = String::from("\nkilled with SIGKILL; * the host after it had a doubt to settle\n");
        for (name, tally) in &self.scenarios {
            let _ = writeln!(text, "\n{name}");
            for (place, moments) in &tally.places {
                let moments: Vec<String> =
                    moments.iter().map(|(moment, words)| format!("{moment}: {}", words.join(" "))).collect();
                let _ = writeln!(text, "  {place:<48} {}", moments.join("; "));
            }
        }
        let _ = writeln!(
            text,
            "\n{:<32} {:>6} {:>10} {:>7} {:>10} {:>8}",
            "hook", "trials", "succeeded", "failed", "attention", "settled"
        );
        let mut all = 0;
        for (name, tally) in &self.scenarios {
            let count = |state: State| tally.ended.get(state.as_str()).copied().unwrap_or(0);
            let (done, failed, person) = (count(State::Succeeded), count(State::Failed), count(State::Attention));
            let _ = writeln!(
                text,
                "{name:<32} {:>6} {done:>10} {failed:>7} {person:>10} {:>8}",
                tally.trials, tally.doubted
            );
            all += tally.trials;
        }
        let _ = writeln!(text, "{all} trials in {:.1} s, {} complaints", took.as_secs_f64(), self.complaints.len());
        // Past the test runner, which keeps what a good test prints to itself.
        let _ = std::io::stderr().write_all(text.as_bytes());
    }
}
