//! The one place that says what follows from how an attempt ended.

use crate::operation::Effects;
use crate::retry::RetryPolicy;
use billhook_plugin_api::protocol::Outcome;
use billhook_plugin_api::{Fault, FaultClass};

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq)]
pub enum End {
    /// The hook returned its result.
    Returned(Box<Outcome>),
    /// The hook returned a fault.
    Fault(Fault),
    /// The attempt was ended by the host at a wait or a settle time; this is no failed attempt.
    Parked {
        /// When to go on, in milliseconds from now.
        after_ms: u64,
        /// The fault that led here, if one did: it counts as an attempt, and its own wait is kept to.
        fault: Option<Fault>,
    },
    /// A person must decide.
    Attention(String),
    /// A cancel was asked for, and nothing had begun.
    Cancelled,
    /// The attempt outlived its deadline.
    Deadline,
    /// A panic, with its text.
    Panicked(String),
}

/// What is known besides.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Circumstances<'a> {
    /// From the journal; a convergent change that may have left counts as touched.
    pub effects: Effects,
    /// A convergent change left, and no answer proves what became of it.
    pub unsettled_change: bool,
    /// Attempts, this one included.
    pub attempts: u32,
    /// Since acceptance.
    pub age_ms: u64,
    /// Uniform in 0..1.
    pub dice: f64,
    /// How long the service must be left alone after a lost convergent change.
    pub settle_ms: u64,
    /// The policy in force.
    pub policy: &'a RetryPolicy,
    /// The hook is undoing, and will end with this.
    pub undoing: Option<&'a Fault>,
}

/// What becomes of the operation.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// It is done.
    Succeed(Box<Outcome>),
    /// It failed for good.
    Fail(Fault),
    /// It goes on later.
    PutOff {
        /// From now.
        after_ms: u64,
        /// Shown meanwhile.
        fault: Option<Fault>,
    },
    /// A person must decide.
    Attention {
        /// Why.
        reason: String,
        /// The last fault.
        fault: Option<Fault>,
    },
    /// Ended before anything was done.
    Cancel,
}

/// Decides.
pub fn decide(end: End, case: &Circumstances<'_>) -> Verdict {
    match end {
        End::Returned(outcome) if case.effects.doubted => Verdict::Attention {
            reason: "the hook returned a result while a step of it is in doubt".to_owned(),
            fault: outcome.message.staff.map(Fault::plugin_bug),
        },
        End::Returned(outcome) => Verdict::Succeed(outcome),
        End::Cancelled => Verdict::Cancel,
        End::Attention(reason) => Verdict::Attention { reason, fault: None },
        End::Parked { after_ms, fault: None } => Verdict::PutOff { after_ms, fault: None },
        End::Parked { after_ms, fault: Some(fault) } => {
            // The settle time says when looking helps; the back-off would only add to it.
            again(fault, case, |_| after_ms)
        }
        End::Deadline => {
            let class =
                if case.effects.doubted || case.unsettled_change { FaultClass::InDoubt } else { FaultClass::Timeout };
            again(Fault::new(class, "the attempt outlived its deadline"), case, |delay_ms| delay_ms)
        }
        End::Panicked(text) => fault(Fault::plugin_bug(format!("the plugin panicked: {text}")), case),
        End::Fault(returned) => fault(returned, case),
    }
}

fn fault(fault: Fault, case: &Circumstances<'_>) -> Verdict {
    if let Some(undoing) = case.undoing
        && fault == *undoing
        && !case.effects.doubted
    {
        return Verdict::Fail(fault);
    }
    if is_retried(fault.class) {
        return again(fault, case, |delay_ms| delay_ms);
    }
    if case.effects.doubted && fault.class == FaultClass::PanelBug {
        // One unreadable answer to a look is no reason to call a person.
        return again(fault, case, |delay_ms| delay_ms);
    }
    if case.effects.doubted {
        return Verdict::Attention {
            reason: "a step is in doubt, and looking at the panel failed".to_owned(),
            fault: Some(fault),
        };
    }
    if fault.class == FaultClass::PluginBug && case.effects.touched {
        return Verdict::Attention {
            reason: "the plugin failed after something was done".to_owned(),
            fault: Some(fault),
        };
    }
    if case.unsettled_change {
        // Not known whether the change happened: repeating it, which converges, is the only honest answer.
        return again(fault, case, |delay_ms| delay_ms);
    }
    Verdict::Fail(fault)
}

fn again(fault: Fault, case: &Circumstances<'_>, after: impl Fn(u64) -> u64) -> Verdict {
    if !case.policy.allows(case.attempts, case.age_ms) {
        return Verdict::Attention { reason: "attempts or time are used up".to_owned(), fault: Some(fault) };
    }
    let delay_ms = after(case.policy.delay_ms(case.attempts, case.dice, fault.retry_after_ms));
    let delay_ms = delay_ms.max(fault.retry_after_ms.unwrap_or(0));
    let after_ms = if case.unsettled_change { delay_ms.max(case.settle_ms) } else { delay_ms };
    Verdict::PutOff { after_ms, fault: Some(fault) }
}

/// The faults after which another attempt can help by itself.
pub const fn is_retried(class: FaultClass) -> bool {
    class.passes_by_itself() || matches!(class, FaultClass::Capacity)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Effects = Effects { touched: false, doubted: false };
    const DONE: Effects = Effects { touched: true, doubted: false };
    const DOUBT: Effects = Effects { touched: true, doubted: true };

    fn case(effects: Effects, policy: &RetryPolicy) -> Circumstances<'_> {
        Circumstances {
            effects,
            unsettled_change: false,
            attempts: 1,
            age_ms: 0,
            dice: 0.5,
            settle_ms: 90_000,
            policy,
            undoing: None,
        }
    }

    fn word(verdict: &Verdict) -> &'static str {
        match verdict {
            Verdict::Succeed(_) => "succeed",
            Verdict::Fail(_) => "fail",
            Verdict::PutOff { .. } => "later",
            Verdict::Attention { .. } => "attention",
            Verdict::Cancel => "cancel",
        }
    }

    #[test]
    fn every_class_has_its_consequence() {
        use FaultClass as C;
        let policy = RetryPolicy::default();
        // class: with nothing done, with a step done, with a step in doubt
        let rows = [
            (C::InvalidInput, "fail", "fail", "attention"),
            (C::NotFound, "fail", "fail", "attention"),
            (C::AlreadyExists, "fail", "fail", "attention"),
            (C::ConflictBusy, "later", "later", "later"),
            (C::Quota, "fail", "fail", "attention"),
            (C::Capacity, "later", "later", "later"),
            (C::InsufficientFunds, "fail", "fail", "attention"),
            (C::Auth, "fail", "fail", "attention"),
            (C::Permission, "fail", "fail", "attention"),
            (C::RateLimited, "later", "later", "later"),
            (C::Unreachable, "later", "later", "later"),
            (C::InDoubt, "later", "later", "later"),
            (C::PanelBug, "fail", "fail", "later"),
            (C::PluginBug, "fail", "attention", "attention"),
            (C::Unsupported, "fail", "fail", "attention"),
            (C::Cancelled, "fail", "fail", "attention"),
            (C::Timeout, "later", "later", "later"),
        ];
        assert_eq!(rows.len(), FaultClass::ALL.len());
        for (class, nothing, done, doubt) in rows {
            for (effects, expected) in [(NOTHING, nothing), (DONE, done), (DOUBT, doubt)] {
                let verdict = decide(End::Fault(Fault::new(class, "x")), &case(effects, &policy));
                assert_eq!(word(&verdict), expected, "{class} {effects:?}");
            }
        }
    }

    #[test]
    fn doubt_never_ends_by_itself_in_success_or_failure() {
        let policy = RetryPolicy { attempts: 1, ..RetryPolicy::default() };
        let ends = [
            End::Returned(Box::default()),
            End::Fault(Fault::not_found("x")),
            End::Fault(Fault::new(FaultClass::Unreachable, "x")),
            End::Deadline,
            End::Panicked("x".into()),
            End::Attention("x".into()),
        ];
        for end in ends {
            let verdict = decide(end.clone(), &case(DOUBT, &policy));
            assert_eq!(word(&verdict), "attention", "{end:?}");
        }
    }

    #[test]
    fn a_lost_convergent_change_is_repeated_after_the_settle_time() {
        let policy = RetryPolicy::default();
        let case = Circumstances { unsettled_change: true, ..case(NOTHING, &policy) };
        for class in [FaultClass::InDoubt, FaultClass::InvalidInput] {
            let Verdict::PutOff { after_ms, .. } = decide(End::Fault(Fault::new(class, "x")), &case) else { panic!() };
            assert_eq!(after_ms, 90_000);
        }
    }

    #[test]
    fn an_undone_hook_ends_with_the_fault_it_undid_for() {
        let policy = RetryPolicy::default();
        let fault = Fault::panel_bug("the build failed");
        let case = Circumstances { undoing: Some(&fault), ..case(DONE, &policy) };
        assert_eq!(decide(End::Fault(fault.clone()), &case), Verdict::Fail(fault.clone()));
        let other = decide(End::Fault(Fault::new(FaultClass::Unreachable, "x")), &case);
        assert_eq!(word(&other), "later");
    }

    #[test]
    fn the_panels_wait_is_kept_to() {
        let policy = RetryPolicy::default();
        let fault = Fault::new(FaultClass::RateLimited, "slow down").retry_after_ms(Some(200_000));
        let Verdict::PutOff { after_ms, .. } = decide(End::Fault(fault), &case(NOTHING, &policy)) else { panic!() };
        assert_eq!(after_ms, 200_000);
    }

    #[test]
    fn attempts_used_up_go_to_a_person() {
        let policy = RetryPolicy { attempts: 1, ..RetryPolicy::default() };
        let verdict = decide(End::Fault(Fault::new(FaultClass::Unreachable, "x")), &case(NOTHING, &policy));
        assert_eq!(word(&verdict), "attention");
    }
}
