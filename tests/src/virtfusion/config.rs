//! How a panel is set up: its token, clock and catalogue, and the knobs that change its manners.

use crate::clock::{ManualClock, PanelClock};

/// What a panel starts with. [`Config::default`] has everything that a lifecycle needs.
#[derive(Clone, Debug)]
pub struct Config {
    /// The only bearer token that the panel takes.
    pub token: String,
    /// What its asynchronous work is computed from.
    pub clock: PanelClock,
    /// Where the API hangs.
    pub prefix: Prefix,
    /// The packages, 1 and 2 and the disabled 9 by default.
    pub packages: Vec<Package>,
    /// The hypervisor groups, 1 with room and 2 without by default.
    pub groups: Vec<Group>,
    /// The OS templates, 10 and 11 by default.
    pub templates: Vec<Template>,
    /// Timings and manners, see also [`super::Panel::tune`].
    pub knobs: Knobs,
    /// Whether `/_panel/…` is served, for the demo.
    pub control: bool,
}

impl Default for Config {
    fn default() -> Self {
        let package = |id, name: &str, memory, cpu_cores, enabled| Package {
            id,
            name: name.into(),
            enabled,
            memory_mb: memory,
            storage_gb: 10 * cpu_cores,
            traffic_gb: 200,
            cpu_cores,
        };
        let template = |id, version: &str, packages: &[u64]| Template {
            id,
            name: "Debian".into(),
            version: version.into(),
            packages: packages.to_vec(),
        };
        Self {
            token: "panel-token-3f9a".into(),
            clock: PanelClock::Manual(ManualClock::default()),
            prefix: Prefix::ApiV1,
            packages: vec![
                package(1, "Small", 1_024, 1, true),
                package(2, "Large", 4_096, 4, true),
                package(9, "Retired", 512, 1, false),
            ],
            groups: vec![
                Group { id: 1, name: "Default".into(), hypervisor_id: 14, room: 100 },
                Group { id: 2, name: "Full".into(), hypervisor_id: 15, room: 0 },
            ],
            templates: vec![template(10, "12 (Bookworm)", &[1, 2, 9]), template(11, "13 (Trixie)", &[1, 2])],
            knobs: Knobs::default(),
            control: false,
        }
    }
}

impl Config {
    /// The defaults on this clock.
    pub fn at(clock: &ManualClock) -> Self {
        Self { clock: clock.clone().into(), ..Self::default() }
    }
}

/// Where the API hangs below the origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefix {
    /// Below `/api/v1`; bare paths get a web page with 404.
    ApiV1,
    /// At the root; `/api/v1` gets a web page with 404.
    Bare,
}

impl Prefix {
    /// The prefix as text, without a slash at its end.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ApiV1 => "/api/v1",
            Self::Bare => "",
        }
    }
}

/// A server package.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the members are the panel's own words with their units")]
pub struct Package {
    pub id: u64,
    pub name: String,
    pub enabled: bool,
    pub memory_mb: u64,
    pub storage_gb: u64,
    pub traffic_gb: u64,
    pub cpu_cores: u64,
}

/// A hypervisor group with one hypervisor.
#[derive(Clone, Debug)]
pub struct Group {
    /// What an order calls `hypervisorId`.
    pub id: u64,
    /// Shown in lists.
    pub name: String,
    /// What a server calls `hypervisorId`; differs from the group's id on purpose.
    pub hypervisor_id: u64,
    /// How many live servers fit.
    pub room: usize,
}

/// An OS template.
#[derive(Clone, Debug)]
pub struct Template {
    /// What a build calls `operatingSystemId`.
    pub id: u64,
    /// Shown in lists.
    pub name: String,
    /// Shown in lists.
    pub version: String,
    /// The packages that may be built with it.
    pub packages: Vec<u64>,
}

/// How builds end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuildOutcome {
    /// Complete, running.
    Succeeds,
    /// Failed, and `buildFailed` says so.
    Fails,
    /// Failed while `buildFailed` stays false, as real panels have answered.
    FailsQuietly,
    /// Never over.
    NeverEnds,
}

/// What the panel does with a relation text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relations {
    /// Integer ids and texts.
    Both,
    /// Integer ids only: `relStr` is refused with 422, as an older panel would.
    IdsOnly,
}

/// What a suspend gets while the server is busy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BusySuspend {
    /// 204, carried out after the running work.
    Queued,
    /// 423.
    Refused,
}

/// Timings and manners that a test may change at any time. All durations are panel time in milliseconds.
#[derive(Clone, Debug)]
pub struct Knobs {
    /// From an accepted build to its start: the server is `queued` until then, `building` after.
    pub build_start_ms: u64,
    /// From an accepted build to its end.
    pub build_ms: u64,
    /// How builds end that are accepted from now on.
    pub build_outcome: BuildOutcome,
    /// Length of a power action, a guest password reset or a VNC switch.
    pub task_ms: u64,
    /// Whether power actions and guest password resets end without an effect.
    pub tasks_fail: bool,
    /// Length of a suspend or unsuspend; at 0 an idle server changes at once.
    pub suspend_ms: u64,
    /// Length of the deletion that follows the delay; at 0 a delete without delay is done at once.
    pub delete_ms: u64,
    /// What a suspend gets while the server is busy.
    pub busy_suspend: BusySuspend,
    /// Whether suspending the suspended is 409 rather than 204.
    pub repeated_suspend_conflicts: bool,
    /// Whether a second delete with a shorter delay brings the end forward.
    pub second_delete_shortens: bool,
    /// Do Not Disturb mode: no delete, 423.
    pub do_not_disturb: bool,
    /// Hypervisors in maintenance: power calls get 503.
    pub maintenance: bool,
    /// How users are found.
    pub relations: Relations,
    /// Paths, by the patterns of the API reference, that this token may not use: 403. Written like
    /// `POST /servers/{server}/suspend`.
    pub forbidden: Vec<String>,
    /// Whether a build of a built server is the test's intention.
    pub rebuilds_expected: bool,
}

impl Default for Knobs {
    fn default() -> Self {
        Self {
            build_start_ms: 1_000,
            build_ms: 20_000,
            build_outcome: BuildOutcome::Succeeds,
            task_ms: 3_000,
            tasks_fail: false,
            suspend_ms: 0,
            delete_ms: 0,
            busy_suspend: BusySuspend::Queued,
            repeated_suspend_conflicts: false,
            second_delete_shortens: false,
            do_not_disturb: false,
            maintenance: false,
            relations: Relations::Both,
            forbidden: Vec::new(),
            rebuilds_expected: false,
        }
    }
}
