//! The calls that the panel knows: method, path, query and body of each, as the contract's section 6 lists them.

/// What a call asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Connect,
    ListPackages,
    ReadPackage,
    ListGroups,
    ReadGroup,
    GroupResources,
    PackageTemplates,
    ServerTemplates,
    FindUser,
    CreateUser,
    ChangeUser,
    DeleteUser,
    ResetUserPassword,
    UserLogin,
    ServerLogin,
    ListServers,
    ReadServer,
    ListUserServers,
    CreateServer,
    BuildServer,
    DeleteServer,
    SuspendServer,
    UnsuspendServer,
    Boot,
    Shutdown,
    Restart,
    PowerOff,
    ReadQueue,
    ResetServerPassword,
    ChangePackage,
    ChangeOwner,
    ChangeBackupPlan,
    BackupAccess,
    ListBackups,
    ModifyName,
    ModifyMemory,
    ModifyCores,
    ModifyTraffic,
    ModifyThrottle,
    AddAddressCount,
    AddAddresses,
    RemoveAddresses,
    ReadTraffic,
    ReadBlocks,
    AddBlock,
    ReadVnc,
    SwitchVnc,
}

/// The type of a body field or query parameter.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// A JSON integer, or digits in a query, within these bounds.
    Int(i64, i64),
    Bool,
    /// Text with at least this many characters.
    Text(usize),
    /// One of these texts.
    Word(&'static [&'static str]),
    /// One of these numbers.
    Number(&'static [f64]),
    Ints,
    Texts,
}

/// One body field or query parameter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) required: bool,
}

/// What may come in the body.
#[derive(Clone, Copy, Debug)]
pub(super) enum Body {
    /// Not a byte.
    None,
    /// A JSON object or nothing.
    Optional(&'static [Field]),
    /// A JSON object.
    Required(&'static [Field]),
}

/// One call of the API.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) op: Op,
    pub(super) method: &'static str,
    /// Parts in braces are numbers, except `{rel}`, which is text.
    pub(super) pattern: &'static str,
    pub(super) query: &'static [Field],
    pub(super) body: Body,
}

const MAX: i64 = i64::MAX;

const fn need(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, required: true }
}

const fn may(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, required: false }
}

const fn route(op: Op, method: &'static str, pattern: &'static str, query: &'static [Field], body: Body) -> Route {
    Route { op, method, pattern, query, body }
}

const NO_QUERY: &[Field] = &[];
const PAGED: &[Field] = &[may("results", Kind::Int(1, 200)), may("page", Kind::Int(1, MAX))];
const REL_STR: &[Field] = &[may("relStr", Kind::Bool)];

const LIST_SERVERS: &[Field] = &[
    may("type", Kind::Word(&["simple"])),
    may("results", Kind::Int(1, 200)),
    may("page", Kind::Int(1, MAX)),
    may("hypervisorId", Kind::Int(1, MAX)),
];

const CREATE_USER: &[Field] = &[
    need("name", Kind::Text(3)),
    need("email", Kind::Text(3)),
    may("extRelationId", Kind::Int(1, MAX)),
    may("relStr", Kind::Text(2)),
    may("selfService", Kind::Int(0, 3)),
    may("selfServiceHourlyCredit", Kind::Bool),
    may("selfServiceHourlyGroupProfiles", Kind::Ints),
    may("selfServiceResourceGroupProfiles", Kind::Ints),
    may("selfServiceHourlyResourcePack", Kind::Int(1, MAX)),
    may("sendMail", Kind::Bool),
];

const CHANGE_USER: &[Field] = &[
    may("name", Kind::Text(3)),
    may("email", Kind::Text(3)),
    may("selfService", Kind::Int(0, 3)),
    may("selfServiceHourlyCredit", Kind::Bool),
    may("selfServiceHourlyGroupProfiles", Kind::Ints),
    may("selfServiceResourceGroupProfiles", Kind::Ints),
    may("selfServiceHourlyResourcePack", Kind::Int(1, MAX)),
    may("enabled", Kind::Bool),
];

const CREATE_SERVER: &[Field] = &[
    need("packageId", Kind::Int(1, MAX)),
    need("userId", Kind::Int(1, MAX)),
    need("hypervisorId", Kind::Int(1, MAX)),
    may("ipv4", Kind::Int(0, 256)),
    may("storage", Kind::Int(1, MAX)),
    may("traffic", Kind::Int(0, MAX)),
    may("memory", Kind::Int(1, MAX)),
    may("cpuCores", Kind::Int(1, 600)),
    may("networkSpeedInbound", Kind::Int(0, MAX)),
    may("networkSpeedOutbound", Kind::Int(0, MAX)),
    may("storageProfile", Kind::Int(0, MAX)),
    may("networkProfile", Kind::Int(0, MAX)),
    may("firewallRulesets", Kind::Ints),
    may("hypervisorAssetGroups", Kind::Ints),
    may("additionalStorage1Enable", Kind::Bool),
    may("additionalStorage1Profile", Kind::Int(0, MAX)),
    may("additionalStorage1Capacity", Kind::Int(1, MAX)),
    may("additionalStorage2Enable", Kind::Bool),
    may("additionalStorage2Profile", Kind::Int(0, MAX)),
    may("additionalStorage2Capacity", Kind::Int(1, MAX)),
];

const SWAPS: &[f64] = &[256.0, 512.0, 768.0, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0];

const BUILD: &[Field] = &[
    need("operatingSystemId", Kind::Int(1, MAX)),
    may("name", Kind::Text(1)),
    may("hostname", Kind::Text(1)),
    may("sshKeys", Kind::Ints),
    may("vnc", Kind::Bool),
    may("ipv6", Kind::Bool),
    may("email", Kind::Bool),
    may("timezone", Kind::Text(1)),
    may("swap", Kind::Number(SWAPS)),
];

const PACKAGE_FLAGS: &[Field] = &[
    may("backupPlan", Kind::Bool),
    may("cpu", Kind::Bool),
    may("memory", Kind::Bool),
    may("primaryDiskSize", Kind::Bool),
    may("primaryDiskReadIOPS", Kind::Bool),
    may("primaryDiskWriteIOPS", Kind::Bool),
    may("primaryDiskReadThroughput", Kind::Bool),
    may("primaryDiskWriteThroughput", Kind::Bool),
    may("primaryNetworkInboundSpeed", Kind::Bool),
    may("primaryNetworkOutboundSpeed", Kind::Bool),
    may("primaryNetworkTraffic", Kind::Bool),
];

const INTERFACES: Kind = Kind::Word(&["primary", "secondary"]);
const ADDRESSES: &[Field] = &[need("interface", INTERFACES), need("ip", Kind::Texts)];
const ADDRESS_COUNT: &[Field] = &[need("interface", INTERFACES), need("quantity", Kind::Int(1, 256))];
const RESET_PASSWORD: &[Field] = &[need("user", Kind::Word(&["root", "Administrator"])), may("sendMail", Kind::Bool)];
const ACCESS: &[Field] =
    &[need("type", Kind::Word(&["inherit", "disabled", "scheduled", "view_restore", "full", "manual"]))];

/// The upper bound of a delete's delay, in minutes: the smaller one of the two that are known (section 6.4).
const MAX_DELAY_MIN: i64 = 43_799;

pub(super) static ROUTES: &[Route] = &[
    route(Op::Connect, "GET", "/connect", NO_QUERY, Body::None),
    route(Op::ListPackages, "GET", "/packages", NO_QUERY, Body::None),
    route(Op::ReadPackage, "GET", "/packages/{package}", NO_QUERY, Body::None),
    route(Op::ListGroups, "GET", "/compute/hypervisors/groups", PAGED, Body::None),
    route(Op::ReadGroup, "GET", "/compute/hypervisors/groups/{group}", NO_QUERY, Body::None),
    route(Op::GroupResources, "GET", "/compute/hypervisors/groups/{group}/resources", PAGED, Body::None),
    route(Op::PackageTemplates, "GET", "/media/templates/fromServerPackageSpec/{package}", NO_QUERY, Body::None),
    route(Op::ServerTemplates, "GET", "/servers/{server}/templates", NO_QUERY, Body::None),
    route(Op::FindUser, "GET", "/users/{rel}/byExtRelation", REL_STR, Body::None),
    route(Op::CreateUser, "POST", "/users", NO_QUERY, Body::Required(CREATE_USER)),
    route(Op::ChangeUser, "PUT", "/users/{rel}/byExtRelation", REL_STR, Body::Required(CHANGE_USER)),
    route(Op::DeleteUser, "DELETE", "/users/{rel}/byExtRelation", REL_STR, Body::None),
    route(Op::ResetUserPassword, "POST", "/users/{rel}/byExtRelation/resetPassword", REL_STR, Body::None),
    route(
        Op::UserLogin,
        "POST",
        "/users/{rel}/authenticationTokens",
        REL_STR,
        Body::Optional(&[may("return_url", Kind::Text(1))]),
    ),
    route(Op::ServerLogin, "POST", "/users/{rel}/serverAuthenticationTokens/{server}", REL_STR, Body::None),
    route(Op::ListServers, "GET", "/servers", LIST_SERVERS, Body::None),
    route(Op::ReadServer, "GET", "/servers/{server}", &[may("remoteState", Kind::Bool)], Body::None),
    route(Op::ListUserServers, "GET", "/servers/user/{user}", NO_QUERY, Body::None),
    route(Op::CreateServer, "POST", "/servers", &[may("dryRun", Kind::Bool)], Body::Required(CREATE_SERVER)),
    route(Op::BuildServer, "POST", "/servers/{server}/build", NO_QUERY, Body::Required(BUILD)),
    route(Op::DeleteServer, "DELETE", "/servers/{server}", &[need("delay", Kind::Int(0, MAX_DELAY_MIN))], Body::None),
    route(Op::SuspendServer, "POST", "/servers/{server}/suspend", NO_QUERY, Body::None),
    route(Op::UnsuspendServer, "POST", "/servers/{server}/unsuspend", NO_QUERY, Body::None),
    route(Op::Boot, "POST", "/servers/{server}/power/boot", NO_QUERY, Body::None),
    route(Op::Shutdown, "POST", "/servers/{server}/power/shutdown", NO_QUERY, Body::None),
    route(Op::Restart, "POST", "/servers/{server}/power/restart", NO_QUERY, Body::None),
    route(Op::PowerOff, "POST", "/servers/{server}/power/poweroff", NO_QUERY, Body::None),
    route(Op::ReadQueue, "GET", "/queue/{queue}", NO_QUERY, Body::None),
    route(Op::ResetServerPassword, "POST", "/servers/{server}/resetPassword", NO_QUERY, Body::Required(RESET_PASSWORD)),
    route(Op::ChangePackage, "PUT", "/servers/{server}/package/{package}", NO_QUERY, Body::Optional(PACKAGE_FLAGS)),
    route(Op::ChangeOwner, "PUT", "/servers/{server}/owner/{user}", NO_QUERY, Body::None),
    route(Op::ChangeBackupPlan, "PUT", "/servers/{server}/backups/plan/{plan}", NO_QUERY, Body::None),
    route(Op::BackupAccess, "PUT", "/servers/{server}/backupManager/access", NO_QUERY, Body::Required(ACCESS)),
    route(Op::ListBackups, "GET", "/backups/server/{server}", NO_QUERY, Body::None),
    route(
        Op::ModifyName,
        "PUT",
        "/servers/{server}/modify/name",
        NO_QUERY,
        Body::Required(&[need("name", Kind::Text(1))]),
    ),
    route(
        Op::ModifyMemory,
        "PUT",
        "/servers/{server}/modify/memory",
        NO_QUERY,
        Body::Required(&[need("memory", Kind::Int(256, MAX))]),
    ),
    route(
        Op::ModifyCores,
        "PUT",
        "/servers/{server}/modify/cpuCores",
        NO_QUERY,
        Body::Required(&[need("cores", Kind::Int(1, 600))]),
    ),
    route(
        Op::ModifyTraffic,
        "PUT",
        "/servers/{server}/modify/traffic",
        NO_QUERY,
        Body::Required(&[need("traffic", Kind::Int(0, 999_999_999))]),
    ),
    route(
        Op::ModifyThrottle,
        "PUT",
        "/servers/{server}/modify/cpuThrottle",
        &[may("sync", Kind::Bool)],
        Body::Required(&[need("percent", Kind::Int(0, 99))]),
    ),
    route(Op::AddAddressCount, "POST", "/servers/{server}/ipv4Qty", NO_QUERY, Body::Required(ADDRESS_COUNT)),
    route(Op::AddAddresses, "POST", "/servers/{server}/ipv4", NO_QUERY, Body::Required(ADDRESSES)),
    route(Op::RemoveAddresses, "DELETE", "/servers/{server}/ipv4", NO_QUERY, Body::Required(ADDRESSES)),
    route(Op::ReadTraffic, "GET", "/servers/{server}/traffic", NO_QUERY, Body::None),
    route(Op::ReadBlocks, "GET", "/servers/{server}/traffic/blocks", NO_QUERY, Body::None),
    route(
        Op::AddBlock,
        "POST",
        "/servers/{server}/traffic/blocks",
        NO_QUERY,
        Body::Required(&[need("month", Kind::Int(1, 1_000)), need("amount", Kind::Int(1, MAX))]),
    ),
    route(Op::ReadVnc, "GET", "/servers/{server}/vnc", NO_QUERY, Body::None),
    route(
        Op::SwitchVnc,
        "POST",
        "/servers/{server}/vnc",
        NO_QUERY,
        Body::Required(&[need("action", Kind::Word(&["enable", "disable"]))]),
    ),
];
