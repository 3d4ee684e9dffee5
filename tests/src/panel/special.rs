use super::faults::{EffectTiming, Fault};

/// A fault that one kind of panel alone knows, with the words in which it puts it.
pub(crate) struct Special<W> {
    pub(crate) name: &'static str,
    pub(crate) effect: EffectTiming,
    pub(crate) words: W,
}

/// How many faults all panels have.
pub(crate) const COMMON: usize = Fault::ALL.len();

impl<W> Special<W> {
    pub(crate) const fn new(name: &'static str, effect: EffectTiming, words: W) -> Self {
        Self { name, effect, words }
    }

    /// What all panels have, and then these; `N` is [`COMMON`] and their number.
    pub(crate) const fn after_common<const N: usize>(special: &[Self]) -> [Fault; N] {
        assert!(N == COMMON + special.len());
        let mut all = [Fault::Garbage; N];
        let mut index = 0;
        while index < N {
            all[index] = if index < COMMON { Fault::ALL[index] } else { special[index - COMMON].fault() };
            index += 1;
        }
        all
    }

    /// As a plan names it.
    pub(crate) const fn fault(&self) -> Fault {
        Fault::Special { name: self.name, effect: self.effect }
    }
}
