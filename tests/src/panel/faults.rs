//! Planned misfortune: which call breaks, how it breaks, and whether the panel had acted by then.

/// How a call breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The connection closes without a byte, nothing done.
    DropBeforeEffect,
    /// The connection closes without a byte, the work done.
    DropAfterEffect,
    /// This status instead of the work.
    StatusBeforeEffect(u16),
    /// This status although the work is done.
    StatusAfterEffect(u16),
    /// The call is held until it is released or the client leaves. With `effect` the work is done first and a release
    /// sends the true answer; without it nothing is ever done and a release sends a 504.
    Hang {
        /// Whether the work is done before the call is held.
        effect: bool,
    },
    /// The connection closes without a byte; the panel acts when its clock has passed `after_ms` more.
    LateEffect {
        /// Milliseconds of panel time from the call to the effect.
        after_ms: u64,
    },
    /// The success status with bytes that are no JSON, the work done.
    Garbage,
    /// Half of the true answer, then the connection closes; the work done.
    CutOff,
    /// A success status line cut in the middle of the headers, the work done.
    CutHead,
    /// The success status without the body that belongs to it, the work done.
    EmptySuccess,
    /// A web page with status 200 instead of the work.
    Html200BeforeEffect,
    /// A web page with status 200 although the work is done.
    Html200AfterEffect,
    /// 429 instead of the work.
    TooMany {
        /// Seconds for `Retry-After`; the header is left out when `None`.
        retry_after_s: Option<u32>,
    },
    /// 423 instead of the work, with a body that the panel itself uses.
    Locked,
    /// A 404 page that is not the API's, nothing done.
    NotFoundHtml,
    /// A 302 to a login page, nothing done.
    Redirect,
    /// The success status with JSON of another shape, the work done.
    WrongShape,
    /// What only one kind of panel can do; see its [`World::FAULTS`](super::World::FAULTS).
    Special {
        /// A stable name.
        name: &'static str,
        /// Whether the call has its effect all the same.
        effect: EffectTiming,
    },
}

/// Whether a broken call changed the panel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EffectTiming {
    /// It changed nothing and never will.
    Never,
    /// It did its work.
    Done,
    /// It does its work after the client has lost the connection.
    Later,
}

impl Fault {
    /// Every kind that any panel has, once with a usual parameter: what an exhaustive suite walks through.
    pub const ALL: &'static [Fault] = &[
        Self::DropBeforeEffect,
        Self::DropAfterEffect,
        Self::StatusBeforeEffect(500),
        Self::StatusBeforeEffect(502),
        Self::StatusBeforeEffect(503),
        Self::StatusBeforeEffect(504),
        Self::StatusAfterEffect(500),
        Self::StatusAfterEffect(502),
        Self::StatusAfterEffect(503),
        Self::StatusAfterEffect(504),
        Self::Hang { effect: false },
        Self::Hang { effect: true },
        Self::LateEffect { after_ms: 5_000 },
        Self::Garbage,
        Self::CutOff,
        Self::CutHead,
        Self::EmptySuccess,
        Self::Html200BeforeEffect,
        Self::Html200AfterEffect,
        Self::TooMany { retry_after_s: Some(7) },
        Self::TooMany { retry_after_s: None },
        Self::Locked,
        Self::NotFoundHtml,
        Self::Redirect,
        Self::WrongShape,
    ];

    /// [`Fault::ALL`] with the stable name of each.
    pub fn catalogue() -> impl Iterator<Item = (&'static str, Fault)> {
        Self::ALL.iter().map(|fault| (fault.name(), *fault))
    }

    /// A stable name; unusual parameters share the name of their kind.
    pub fn name(self) -> &'static str {
        match self {
            Self::DropBeforeEffect => "drop_before_effect",
            Self::DropAfterEffect => "drop_after_effect",
            Self::StatusBeforeEffect(500) => "status_500_before_effect",
            Self::StatusBeforeEffect(502) => "status_502_before_effect",
            Self::StatusBeforeEffect(503) => "status_503_before_effect",
            Self::StatusBeforeEffect(504) => "status_504_before_effect",
            Self::StatusBeforeEffect(_) => "status_before_effect",
            Self::StatusAfterEffect(500) => "status_500_after_effect",
            Self::StatusAfterEffect(502) => "status_502_after_effect",
            Self::StatusAfterEffect(503) => "status_503_after_effect",
            Self::StatusAfterEffect(504) => "status_504_after_effect",
            Self::StatusAfterEffect(_) => "status_after_effect",
            Self::Hang { effect: false } => "hang_before_effect",
            Self::Hang { effect: true } => "hang_after_effect",
            Self::LateEffect { .. } => "late_effect",
            Self::Garbage => "garbage",
            Self::CutOff => "cut_off",
            Self::CutHead => "cut_head",
            Self::EmptySuccess => "empty_success",
            Self::Html200BeforeEffect => "html_200_before_effect",
            Self::Html200AfterEffect => "html_200_after_effect",
            Self::TooMany { retry_after_s: Some(_) } => "too_many_retry_after",
            Self::TooMany { retry_after_s: None } => "too_many",
            Self::Locked => "locked",
            Self::NotFoundHtml => "not_found_html",
            Self::Redirect => "redirect",
            Self::WrongShape => "wrong_shape",
            Self::Special { name, .. } => name,
        }
    }

    /// Whether the call still has its effect.
    pub fn effect(self) -> EffectTiming {
        match self {
            Self::DropBeforeEffect
            | Self::StatusBeforeEffect(_)
            | Self::Hang { effect: false }
            | Self::Html200BeforeEffect
            | Self::TooMany { .. }
            | Self::Locked
            | Self::NotFoundHtml
            | Self::Redirect => EffectTiming::Never,
            Self::DropAfterEffect
            | Self::StatusAfterEffect(_)
            | Self::Hang { effect: true }
            | Self::Garbage
            | Self::CutOff
            | Self::CutHead
            | Self::EmptySuccess
            | Self::Html200AfterEffect
            | Self::WrongShape => EffectTiming::Done,
            Self::LateEffect { .. } => EffectTiming::Later,
            Self::Special { effect, .. } => effect,
        }
    }
}

/// Which call a fault strikes. Counting begins when the plan is armed.
#[derive(Clone, Debug)]
pub struct Plan {
    /// `None` matches every call.
    target: Option<(String, String)>,
    fault: Fault,
    /// Matching calls to let pass before the first strike.
    skip: u32,
    strikes: u32,
}

impl Plan {
    /// Strikes the `n`-th call from now, counted from 1, whatever it is.
    pub fn nth_call(n: u32, fault: Fault) -> Self {
        Self { target: None, fault, skip: n.saturating_sub(1), strikes: 1 }
    }

    /// Strikes the next call of this method and path. The path is written without prefix and query; a part in braces
    /// stands for any one part: `/servers/{id}/build`.
    pub fn on(method: &str, path: &str, fault: Fault) -> Self {
        let target = Some((method.to_ascii_uppercase(), path.to_owned()));
        Self { target, fault, skip: 0, strikes: 1 }
    }

    /// Strikes the `n`-th matching call, counted from 1.
    #[must_use]
    pub fn nth(mut self, n: u32) -> Self {
        self.skip = n.saturating_sub(1);
        self
    }

    /// Strikes this many matching calls in a row instead of one.
    #[must_use]
    pub fn repeat(mut self, times: u32) -> Self {
        self.strikes = times;
        self
    }

    /// Whether this call is struck; counts the call if it matches.
    fn strike(&mut self, method: &str, path: &str) -> Option<Fault> {
        if !self.matches(method, path) || self.strikes == 0 {
            return None;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return None;
        }
        self.strikes -= 1;
        Some(self.fault)
    }

    fn matches(&self, method: &str, path: &str) -> bool {
        self.target.as_ref().is_none_or(|(wanted, pattern)| wanted == method && fits(pattern, path))
    }
}

/// The armed plans. The oldest plan that strikes wins; the others have still counted the call.
#[derive(Clone, Debug, Default)]
pub(super) struct Plans {
    armed: Vec<Plan>,
}

impl Plans {
    pub(super) fn arm(&mut self, plan: Plan) {
        self.armed.push(plan);
    }

    pub(super) fn clear(&mut self) {
        self.armed.clear();
    }

    /// Plans that have strikes left.
    pub(super) fn unfired(&self) -> usize {
        self.armed.iter().filter(|plan| plan.strikes > 0).count()
    }

    pub(super) fn strike(&mut self, method: &str, path: &str) -> Option<Fault> {
        let mut fault = None;
        for plan in &mut self.armed {
            if fault.is_none() {
                fault = plan.strike(method, path);
            } else if plan.matches(method, path) {
                plan.skip = plan.skip.saturating_sub(1);
            }
        }
        fault
    }
}

/// Whether `path` has the form of `pattern`, part by part.
pub fn fits(pattern: &str, path: &str) -> bool {
    let mut parts = path.split('/');
    let fits = pattern
        .split('/')
        .all(|wanted| parts.next().is_some_and(|part| wanted == part || (wanted.starts_with('{') && !part.is_empty())));
    fits && parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_fault_of_the_catalogue_has_a_name_of_its_own() {
        let names: BTreeSet<_> = Fault::catalogue().map(|(name, _)| name).collect();

        assert_eq!(names.len(), Fault::ALL.len());
    }

    #[test]
    fn the_name_of_a_fault_tells_its_effect() {
        for (name, fault) in Fault::catalogue() {
            let expected = match name {
                "late_effect" => EffectTiming::Later,
                "drop_before_effect"
                | "hang_before_effect"
                | "html_200_before_effect"
                | "locked"
                | "not_found_html"
                | "redirect"
                | "too_many"
                | "too_many_retry_after" => EffectTiming::Never,
                _ if name.starts_with("status_") && name.ends_with("_before_effect") => EffectTiming::Never,
                _ => EffectTiming::Done,
            };
            assert_eq!(fault.effect(), expected, "{name}");
        }
    }

    #[test]
    fn a_pattern_part_in_braces_stands_for_one_part() {
        let cases = [
            ("/servers", "/servers", true),
            ("/servers", "/servers/7", false),
            ("/servers/{id}", "/servers/7", true),
            ("/servers/{id}", "/servers/", false),
            ("/servers/{id}/build", "/servers/7/build", true),
            ("/servers/{id}/build", "/servers/7/suspend", false),
        ];
        for (pattern, path, expected) in cases {
            assert_eq!(fits(pattern, path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn a_plan_strikes_the_named_call_as_often_as_told_and_no_more() {
        let mut plans = Plans::default();
        plans.arm(Plan::on("post", "/servers", Fault::Locked).nth(2).repeat(2));

        let struck: Vec<bool> = (0..5).map(|_| plans.strike("POST", "/servers").is_some()).collect();

        assert_eq!(struck, [false, true, true, false, false]);
        assert_eq!(plans.strike("GET", "/servers"), None);
        assert_eq!(plans.unfired(), 0);
    }
}
