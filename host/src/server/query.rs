//! Query parameters, each named; what is not known is refused, so that a misspelt filter does not show everything.

use super::headers;
use crate::operation::State;
use crate::problem::Problem;
use crate::store::{LogFilter, Sought};
use billhook_plugin_api::{FaultClass, Hook};
use std::time::Duration;

/// Rows of a page when the caller does not say.
const ROWS: u32 = 50;
/// The most that the store gives.
const MOST_ROWS: u32 = 1_000;
/// More words than anybody types.
const LONGEST_TEXT: usize = 1_000;

/// The parameters of a request that nobody has asked for yet.
#[derive(Debug, Default)]
pub(super) struct Query {
    left: Vec<(String, String)>,
}

impl Query {
    pub(super) fn of(uri: &axum::http::Uri) -> Self {
        let text = uri.query().unwrap_or_default();
        Self { left: url::form_urlencoded::parse(text.as_bytes()).into_owned().collect() }
    }

    /// A parameter that may stand once.
    pub(super) fn one(&mut self, name: &str) -> Result<Option<String>, Problem> {
        let mut values = self.all(name).into_iter();
        match (values.next(), values.next()) {
            (_, Some(_)) => Err(Problem::at(format!("?{name}"), "given more than once")),
            (value, None) => Ok(value),
        }
    }

    /// A parameter that may stand several times.
    pub(super) fn all(&mut self, name: &str) -> Vec<String> {
        let (taken, left) = std::mem::take(&mut self.left).into_iter().partition(|(key, _)| key == name);
        self.left = left;
        let taken: Vec<(String, String)> = taken;
        taken.into_iter().map(|(_, value)| value).collect()
    }

    /// `wait`, in seconds, at most `longest`; none unless it is given.
    pub(super) fn wait(&mut self, longest: Duration) -> Result<Duration, Problem> {
        let Some(text) = self.one("wait")? else { return Ok(Duration::ZERO) };
        let wait = headers::seconds(&text).ok_or_else(|| Problem::at("?wait", "not a number of seconds"))?;
        Ok(wait.min(longest))
    }

    /// What operations are filtered by, except the state.
    pub(super) fn filter(&mut self) -> Result<LogFilter, Problem> {
        let hook = self.one("hook")?.map(|word| Hook::parse(&word).ok_or_else(|| unknown("hook", &Hook::ALL)));
        let filter = LogFilter {
            platform: self.one("platform")?,
            service_id: self.one("service_id")?,
            hook: hook.transpose()?,
            server: self.one("server")?,
            ..LogFilter::default()
        };
        self.page(filter)
    }

    /// What rows of the log are filtered by.
    pub(super) fn rows(&mut self) -> Result<LogFilter, Problem> {
        let hook = self.one("hook")?.map(|word| Hook::parse(&word).ok_or_else(|| unknown("hook", &Hook::ALL)));
        let fault = self.one("fault")?.map(|word| {
            let class = FaultClass::ALL.into_iter().find(|class| class.as_str() == word);
            class.ok_or_else(|| unknown("fault", &FaultClass::ALL.map(FaultClass::as_str)))
        });
        let state = match self.states()?.as_slice() {
            [] => None,
            [state] => Some(*state),
            _ => return Err(Problem::at("?state", "given more than once")),
        };
        Ok(LogFilter {
            platform: self.one("platform")?,
            service_id: self.one("service_id")?,
            hook: hook.transpose()?,
            server: self.one("server")?,
            provider: self.one("provider")?,
            state,
            fault: fault.transpose()?,
            remote_id: self.one("remote_id")?,
            words: self.words()?,
            ..LogFilter::default()
        })
    }

    /// `q`: whatever is typed is taken for words.
    fn words(&mut self) -> Result<Option<Sought>, Problem> {
        let Some(text) = self.one("q")? else { return Ok(None) };
        if text.len() > LONGEST_TEXT {
            return Err(Problem::at("?q", format!("longer than {LONGEST_TEXT} bytes")).remedy("look for fewer words"));
        }
        let sought = Sought::of(&text).ok_or_else(|| Problem::at("?q", "there is no word in it"));
        sought.map(Some)
    }

    /// `limit` and `before`.
    pub(super) fn page(&mut self, filter: LogFilter) -> Result<LogFilter, Problem> {
        let before = self.one("before")?;
        if before.as_ref().is_some_and(|id| !is_id(id)) {
            return Err(Problem::at("?before", "not an id").remedy("take `next` of the page before"));
        }
        Ok(LogFilter { before, limit: self.limit()?, ..filter })
    }

    /// `limit`.
    pub(super) fn limit(&mut self) -> Result<u32, Problem> {
        let limit = self.one("limit")?.map_or(Some(ROWS), |text| text.parse().ok());
        let limit = limit.filter(|rows| (1..=MOST_ROWS).contains(rows));
        limit.ok_or_else(|| Problem::at("?limit", format!("not a number from 1 to {MOST_ROWS}")))
    }

    /// `from` and `to`.
    pub(super) fn times(&mut self, filter: LogFilter) -> Result<LogFilter, Problem> {
        Ok(LogFilter { from: self.instant("from")?, to: self.instant("to")?, ..filter })
    }

    /// Unix milliseconds; what is before 1970 is the beginning.
    pub(super) fn instant(&mut self, name: &str) -> Result<Option<u64>, Problem> {
        let Some(text) = self.one(name)? else { return Ok(None) };
        let instant: jiff::Timestamp = text.parse().map_err(|_| {
            Problem::at(format!("?{name}"), "not an instant").remedy("write it like 2026-05-01T12:00:00Z")
        })?;
        Ok(Some(u64::try_from(instant.as_millisecond()).unwrap_or_default()))
    }

    /// `true` or `false`; the latter unless it is given.
    pub(super) fn flag(&mut self, name: &str) -> Result<bool, Problem> {
        match self.one(name)?.as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(Problem::at(format!("?{name}"), "neither true nor false")),
        }
    }

    /// `state`, each time that it is given.
    pub(super) fn states(&mut self) -> Result<Vec<State>, Problem> {
        let words = self.all("state");
        let mut states = words
            .iter()
            .map(|word| State::parse(word).ok_or_else(|| unknown("state", &State::ALL)))
            .collect::<Result<Vec<_>, _>>()?;
        states.sort_by_key(|state| state.as_str());
        states.dedup();
        Ok(states)
    }

    /// Refuses what nobody asked for.
    pub(super) fn finish(self) -> Result<(), Problem> {
        match self.left.first() {
            // The name is the caller's text: shown by its place alone.
            Some((name, _)) => Err(Problem::at(format!("?{name}"), "not a parameter of this call")),
            None => Ok(()),
        }
    }
}

/// Whether the text has the form of an operation's or reading hook's id.
pub(super) fn is_id(text: &str) -> bool {
    let ulid = text.strip_prefix("op_").or_else(|| text.strip_prefix("rd_"));
    ulid.is_some_and(|ulid| ulid.len() == 26 && ulid.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

fn unknown(name: &str, words: &[impl ToString]) -> Problem {
    let words: Vec<String> = words.iter().map(ToString::to_string).collect();
    Problem::at(format!("?{name}"), "not a known word").remedy(format!("one of {}", words.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Query {
        Query::of(&format!("/v1/log?{text}").parse().unwrap())
    }

    #[test]
    fn filters_are_read_by_name() {
        let mut query = query(
            "platform=whmcs&service_id=a%2Fb&hook=create&server=s&limit=7&before=op_01J00000000000000000000000&state=failed&state=attention&state=failed",
        );
        let filter = query.filter().unwrap();
        assert_eq!(filter.service_id.as_deref(), Some("a/b"));
        assert_eq!((filter.hook, filter.limit), (Some(Hook::Create), 7));
        assert_eq!(query.states().unwrap(), [State::Attention, State::Failed]);
        query.finish().unwrap();
    }

    #[test]
    fn a_log_is_filtered_by_more() {
        let mut query = query(
            "q=no%20room%00%22&fault=quota&provider=p&remote_id=7&from=1970-01-01T00:00:01Z&to=1960-01-01T00:00:00Z",
        );
        let filter = query.rows().and_then(|filter| query.times(filter)).unwrap();
        query.finish().unwrap();
        assert_eq!(filter.words, Sought::of("no room"));
        assert_eq!((filter.fault, filter.from, filter.to), (Some(FaultClass::Quota), Some(1_000), Some(0)));
        let long = super::Query::of(&format!("/v1/log?q={}", "word+".repeat(2_000)).parse().unwrap()).rows();
        assert_eq!(long.unwrap_err().path.as_deref(), Some("?q"));
    }

    #[test]
    fn a_parameter_that_does_not_fit_is_named() {
        for (text, path) in [
            ("hook=make", "?hook"),
            ("limit=0", "?limit"),
            ("limit=1001", "?limit"),
            ("limit=ten", "?limit"),
            ("before=yesterday", "?before"),
            ("state=broken", "?state"),
            ("wait=soon", "?wait"),
            ("from=today", "?from"),
            ("to=2026-05-01T12:00:00+02:00", "?to"),
            ("fault=bad", "?fault"),
            ("q=*", "?q"),
            ("q=", "?q"),
            ("q=a&q=b", "?q"),
            ("state=failed&state=attention", "?state"),
            ("server=a&server=b", "?server"),
            ("sate=failed", "?sate"),
        ] {
            let read = |mut query: Query| {
                let filter = query.rows()?;
                let filter = query.page(filter)?;
                query.times(filter)?;
                query.wait(Duration::from_secs(1))?;
                query.finish()
            };
            assert_eq!(read(query(text)).unwrap_err().path.as_deref(), Some(path), "{text}");
        }
    }
}
