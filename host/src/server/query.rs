//! Query parameters, each named; what is not known is refused, so that a misspelt filter does not show everything.

use super::headers;
use crate::operation::State;
use crate::problem::Problem;
use crate::store::LogFilter;
use billhook_plugin_api::Hook;
use std::time::Duration;

/// Rows of a page when the caller does not say.
const ROWS: u32 = 50;
/// The most that the store gives.
const MOST_ROWS: u32 = 1_000;

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

    /// What lists are filtered by, except the state.
    pub(super) fn filter(&mut self) -> Result<LogFilter, Problem> {
        let hook = self.one("hook")?.map(|word| Hook::parse(&word).ok_or_else(|| unknown("hook", &Hook::ALL)));
        let before = self.one("before")?;
        if before.as_ref().is_some_and(|id| !is_id(id)) {
            return Err(Problem::at("?before", "not an id").remedy("take `next` of the page before"));
        }
        let limit = self.one("limit")?.map_or(Some(ROWS), |text| text.parse().ok());
        let limit = limit.filter(|rows| (1..=MOST_ROWS).contains(rows));
        Ok(LogFilter {
            platform: self.one("platform")?,
            service_id: self.one("service_id")?,
            hook: hook.transpose()?,
            server: self.one("server")?,
            state: None,
            before,
            limit: limit.ok_or_else(|| Problem::at("?limit", format!("not a number from 1 to {MOST_ROWS}")))?,
            ..LogFilter::default()
        })
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
    fn a_parameter_that_does_not_fit_is_named() {
        for (text, path) in [
            ("hook=make", "?hook"),
            ("limit=0", "?limit"),
            ("limit=1001", "?limit"),
            ("limit=ten", "?limit"),
            ("before=yesterday", "?before"),
            ("state=broken", "?state"),
            ("wait=soon", "?wait"),
            ("server=a&server=b", "?server"),
            ("sate=failed", "?sate"),
        ] {
            let read = |mut query: Query| {
                query.filter()?;
                query.states()?;
                query.wait(Duration::from_secs(1))?;
                query.finish()
            };
            assert_eq!(read(query(text)).unwrap_err().path.as_deref(), Some(path), "{text}");
        }
    }
}
