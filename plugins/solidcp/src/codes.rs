//! What the panel's result codes mean: one table for numbers, one for words, one for the texts of SOAP faults.
//!
//! Business errors come with HTTP 200 and stand in the result. A number below zero is an error; of a result object only
//! `IsSuccess` decides, since a power action that succeeded carries the code `VPS_JOB_START_ERROR:JobStarted`.

use billhook_plugin_api::{Fault, FaultClass};

/// When an answer with this code proves that nothing was executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Proof {
    /// The panel checks it before it begins.
    Refused,
    /// It may have been done, or half done.
    None,
}

struct Number {
    codes: std::ops::RangeInclusive<i64>,
    class: FaultClass,
    proof: Proof,
    text: &'static str,
}

const fn number(from: i64, to: i64, class: FaultClass, proof: Proof, text: &'static str) -> Number {
    Number { codes: from..=to, class, proof, text }
}

use FaultClass::{
    AlreadyExists, Auth, Capacity, ConflictBusy, InDoubt, InvalidInput, NotFound, PanelBug, Permission, Quota,
    Unsupported,
};
use Proof::Refused;

/// A code of the panel that stands for something that was not found.
pub const PACKAGE_GONE: i64 = -300;
/// A user that has users of its own.
pub const HAS_CHILDREN: i64 = -102;
/// A user name that is in use, by whomever.
pub const NAME_TAKEN: i64 = -100;
/// The parent space has not so much left; nothing was changed.
pub const QUOTA_EXCEEDED: i64 = -305;

/// The first row that holds the code counts.
const NUMBERS: &[Number] = &[
    number(-1, -1, NotFound, Refused, NO_SPACE),
    number(-2, -2, Permission, Refused, "the API login may not create users under itself: use a reseller"),
    number(NAME_TAKEN, NAME_TAKEN, AlreadyExists, Refused, "the user name is taken: look on the panel whose it is"),
    number(-101, -101, NotFound, Refused, "the panel has no such user: look there whether it was removed"),
    number(HAS_CHILDREN, HAS_CHILDREN, InvalidInput, Refused, "the user has users of its own: remove them first"),
    number(-103, -103, Permission, Refused, "the API login's account is pending: activate it on the panel"),
    number(-104, -104, Permission, Refused, "the API login's account is suspended: activate it on the panel"),
    number(-105, -105, Permission, Refused, "the API login's account is cancelled: activate it on the panel"),
    number(-106, -106, Permission, Refused, "the API login's account is a demo: take the mark away on the panel"),
    number(-108, -107, Permission, Refused, "the API login has not the role for this: use a reseller"),
    number(-110, -109, Auth, Refused, "user name or password is wrong: correct login and password"),
    number(-111, -111, InvalidInput, Refused, "the panel does not take this user name: use another"),
    number(-113, -112, Permission, Refused, "the API login has not enough rights: use the reseller that owns it"),
    number(
        -116,
        -114,
        Auth,
        Refused,
        "the account is disabled or locked out, or its one-time password has expired: activate it",
    ),
    number(-202, -200, InvalidInput, Refused, "a letter's template is empty on the panel: set it there"),
    number(PACKAGE_GONE, PACKAGE_GONE, NotFound, Refused, NO_SPACE),
    number(-301, -301, InvalidInput, Refused, "the hosting space has spaces of its own: remove them first"),
    number(-304, -302, InvalidInput, Refused, "the hosting space is new, suspended or cancelled: activate it first"),
    number(
        QUOTA_EXCEEDED,
        QUOTA_EXCEEDED,
        Quota,
        Refused,
        "the reseller's space has not so much left: raise its quotas or take another plan",
    ),
    number(-409, -400, InvalidInput, Refused, "a server is not registered rightly on the panel: correct it there"),
    number(
        -511,
        -500,
        InvalidInput,
        Refused,
        "the panel refused the domain (quota, restriction, or it exists): use another",
    ),
    number(
        -804,
        -600,
        AlreadyExists,
        Proof::None,
        "a site, mail domain or FTP account exists or is missing: look on the panel",
    ),
    number(-999, -999, ConflictBusy, Proof::None, "a service of the panel failed: see its audit log"),
    number(-1101, -1100, AlreadyExists, Refused, "the user or the FTP account exists: look on the panel whose it is"),
    number(-1502, -1501, InvalidInput, Refused, "the plan or add-on is in use: take another"),
    number(-1602, -1601, ConflictBusy, Refused, "the address is in use: free it, or add others"),
];

/// The fault of a number below zero that `operation` answered with.
pub fn of_number(operation: &str, code: i64) -> Fault {
    let row = NUMBERS.iter().find(|row| row.codes.contains(&code));
    let (class, proof, text) = row.map_or(
        (PanelBug, Proof::None, "the panel answered with an error that is not known: see its audit log"),
        |row| (row.class, row.proof, row.text),
    );
    proven(Fault::new(class, format!("{text} ({operation}: {code})")).with_code(code.to_string()), proof)
}

struct Word {
    /// The beginning of the code, or all of it.
    code: &'static str,
    class: FaultClass,
    proof: Proof,
    text: &'static str,
}

const fn word(code: &'static str, class: FaultClass, proof: Proof, text: &'static str) -> Word {
    Word { code, class, proof, text }
}

const PLAN_TOO_SMALL: &str = "the plan allows less than the product asks for: correct one of them";
const NOT_ACTIVE: &str = "the hosting space is not active: unsuspend it first";
const LOGIN: &str = "the API login's own account may not do this: look at its status and role";
const TOO_FEW: &str = "the hosting space has too few free addresses: add some on the panel";
const NO_SPACE: &str = "the panel has no such hosting space: look there whether it was removed";
const HYPERVISOR: &str = "the hypervisor refused or failed: see the panel's audit log";

/// The first row whose code begins the panel's counts.
const WORDS: &[Word] = &[
    word("ERROR_PACKAGE_NOT_FOUND", NotFound, Refused, NO_SPACE),
    word("ERROR_PACKAGE_", InvalidInput, Refused, NOT_ACTIVE),
    word("ERROR_USER_ACCOUNT_", Permission, Refused, LOGIN),
    word(
        "VPS_MAINTENANCE_MODE_IS_ENABLE",
        ConflictBusy,
        Refused,
        "the hosting server is in maintenance: wait for its end",
    ),
    word(
        "VPS_CANNOT_FIND_VIRTUAL_MACHINE_META_ITEM",
        NotFound,
        Refused,
        "the panel has no such machine: look there whether it was removed",
    ),
    word(
        SECOND_MACHINE,
        AlreadyExists,
        Refused,
        "the hosting space has its machine already: look on the panel whose it is",
    ),
    word("VPS_QUOTA_EXCEEDED_EXTERNAL_ADDRESSES_NUMBER", Quota, Refused, TOO_FEW),
    word("VPS_QUOTA_EXCEEDED_PRIVATE_ADDRESSES_NUMBER", Quota, Refused, TOO_FEW),
    word("VPS_QUOTA_EXCEEDED_DMZ_ADDRESSES_NUMBER", Quota, Refused, TOO_FEW),
    word("VPS_QUOTA_EXCEEDED_", Quota, Refused, PLAN_TOO_SMALL),
    word(
        "VPS_QUOTA_TEMPLATE_DISK_MINIMAL_SIZE",
        InvalidInput,
        Refused,
        "the disk is smaller than the template's: raise `disk_gb`",
    ),
    word("VPS_QUOTA_", InvalidInput, Refused, "the panel does not take this size: correct the product"),
    word(
        "VPS_GET_OS_TEMPLATES_ERROR",
        InvalidInput,
        Refused,
        "the panel's library lacks the template: add it, or correct `os_template`",
    ),
    word(
        NAME_IN_USE,
        AlreadyExists,
        Refused,
        "the machine's name is in use in this hosting space: look on the panel whose it is",
    ),
    word(
        "CANNOT_CHECK_HOST_EXISTS",
        ConflictBusy,
        Refused,
        "the panel could not check the machine's name: it is tried again",
    ),
    word(
        "HDD_VM_FILE_EXIST_ERROR",
        AlreadyExists,
        Refused,
        "a disk file of this machine's name lies on the hosting server, left by an earlier machine: remove it there",
    ),
    word(
        "RAM_VM_RAM_RESERVE_ERROR",
        Capacity,
        Refused,
        "the hosting server has not so much memory left: free some, or use another plan",
    ),
    word("VPS_CREATE_", PanelBug, Proof::None, "the panel could not begin to make the machine: see its audit log"),
    word("VPS_JOB_", PanelBug, Proof::None, HYPERVISOR),
    word("VPS_CANNOT_CHANGE_VIRTUAL_SERVER_STATE", PanelBug, Proof::None, HYPERVISOR),
    word("VPS_CHANGE_", PanelBug, Proof::None, HYPERVISOR),
    word("VPS_DELETE_", ConflictBusy, Proof::None, "the deletion failed or runs already: see the panel's audit log"),
    word(
        "IP_ADDRESSES_POOL_IS_",
        Capacity,
        Refused,
        "the reseller's space has too few free addresses: add some on the panel",
    ),
    word(
        "IP_ADDRESSES_QUOTA_LIMIT_REACHED",
        Quota,
        Refused,
        "the plan allows fewer addresses than the product has: correct one of them",
    ),
    word("VPS_NOT_ENOUGH_", Capacity, Refused, TOO_FEW),
    word(
        "VPS_CANNOT_ADD_IP_ADDRESSES_TO_DATABASE",
        PanelBug,
        Proof::None,
        "the addresses could not be stored: see the panel's audit log",
    ),
    word("VPS_ALLOCATE_", PanelBug, Proof::None, "the addresses could not be allocated: see the panel's audit log"),
    word(
        "VPS_SEND_SUMMARY_LETTER",
        InvalidInput,
        Proof::None,
        "the letter could not be sent: check the panel's mail settings",
    ),
    word(
        "VPS_SUMMARY_TEMPLATE_IS_EMPTY",
        InvalidInput,
        Proof::None,
        "the letter's template is empty: set it on the panel",
    ),
];

/// The space's plan allows one machine, and it has one.
pub const SECOND_MACHINE: &str = "VPS_QUOTA_EXCEEDED_SERVERS_NUMBER";
/// The space has a machine of that name (spelt so by the panel).
pub const NAME_IN_USE: &str = "HOST_NAMER_IS_ALREADY_USED";
/// The item does not exist, or is not ours to see.
pub const MACHINE_GONE: &str = "VPS_CANNOT_FIND_VIRTUAL_MACHINE_META_ITEM";
/// How a missing code is written in a fault.
const NO_CODE: &str = "no code";

/// A code without what follows its first colon: a limit, or an exception's text that nobody else shall read.
pub fn cut(code: &str) -> &str {
    code.split(':').next().unwrap_or_default().trim()
}

/// The fault of a result object with `IsSuccess` false. All codes must prove a refusal for it to count as one.
pub fn of_words<'a>(operation: &str, codes: impl IntoIterator<Item = &'a str>) -> Fault {
    let codes: Vec<&str> = codes.into_iter().map(cut).collect();
    let find = |code: &str| WORDS.iter().find(|row| code.starts_with(row.code));
    let first = codes.iter().copied().find(|code| !code.is_empty()).unwrap_or_default();
    let shown = if first.is_empty() { NO_CODE } else { first };
    let (class, text) = match find(first) {
        Some(row) => (row.class, row.text),
        // An account's check that has a number without a word answers with an empty text.
        None if !codes.is_empty() && first.is_empty() => (Permission, LOGIN),
        None => (PanelBug, "the panel refused without a code that is known: see its audit log"),
    };
    let is_refused = first.is_empty() == codes.is_empty()
        && !codes.is_empty()
        && codes.iter().all(|code| find(code).is_some_and(|row| row.proof == Refused));
    // An empty code is that check, which comes before anything else.
    let is_refused = is_refused || (!codes.is_empty() && first.is_empty());
    let all: Vec<&str> = codes.iter().copied().filter(|code| !code.is_empty()).take(5).collect();
    let shown_all = if all.is_empty() { NO_CODE.to_owned() } else { all.join(", ") };
    let fault = Fault::new(class, format!("{text} ({operation}: {shown_all})")).with_code(shown);
    proven(fault, if is_refused { Refused } else { Proof::None })
}

struct Text {
    part: &'static str,
    class: FaultClass,
    text: &'static str,
}

const fn text(part: &'static str, class: FaultClass, text: &'static str) -> Text {
    Text { part, class, text }
}

/// A SOAP action that this version of the panel does not have.
pub const NO_SUCH_OPERATION: &str = "no_such_operation";

/// Parts of the texts of SOAP faults; the whole text depends on the panel's settings, and may hold a stack trace.
const TEXTS: &[Text] = &[
    text(
        "did not recognize the value of HTTP Header SOAPAction",
        Unsupported,
        "the panel has no such operation: check its version",
    ),
    text("No anonymous access allowed", InvalidInput, OTHER_PROTOCOL),
    text(
        "You are not allowed to access this package",
        Permission,
        "the API login may not use this hosting space: use the reseller that owns it",
    ),
    text(
        "You are not allowed to access this account",
        Permission,
        "the API login may not use this account: use the reseller that owns it",
    ),
    text("IX_Users_Username", AlreadyExists, "the user name was taken at the same time: look on the panel whose it is"),
    text("duplicate key", AlreadyExists, "it was made at the same time: look on the panel whose it is"),
    text("PACKAGE_NOT_FOUND", NotFound, NO_SPACE),
    text("Object reference not set", NotFound, "the panel does not know an id: look there whether it was removed"),
    text("deadlocked", ConflictBusy, "the panel's database was busy: it is tried again"),
    text("Execution Timeout Expired", ConflictBusy, "the panel's database was busy: it is tried again"),
    text("Timeout expired", ConflictBusy, "the panel's database was busy: it is tried again"),
];

/// What is said of a panel of another generation.
pub const OTHER_PROTOCOL: &str = "this is SolidCP 2.x or FuseCP, which speaks another protocol: \
     this provider drives SolidCP 1.4.9 to 1.5.2";

/// The fault of a SOAP fault. Nothing of it proves that nothing was done; its text is not quoted.
pub fn of_fault(operation: &str, text: &str) -> Fault {
    let Some(row) = TEXTS.iter().find(|row| text.contains(row.part)) else {
        return Fault::new(
            InDoubt,
            format!("the panel failed inside at {operation}: see its audit log, and the exchange in the module log"),
        )
        .with_code("soap_fault");
    };
    let code = if row.class == Unsupported { NO_SUCH_OPERATION } else { "soap_fault" };
    let fault = Fault::new(row.class, format!("{} ({operation})", row.text)).with_code(code);
    // What has no code on the panel cannot have run.
    proven(fault, if row.class == Unsupported { Refused } else { Proof::None })
}

fn proven(fault: Fault, proof: Proof) -> Fault {
    if proof == Refused { fault.refused() } else { fault }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_has_its_class_and_its_proof() {
        for (code, class, is_refused) in [
            (-1, NotFound, true),
            (-2, Permission, true),
            (-100, AlreadyExists, true),
            (-101, NotFound, true),
            (-102, InvalidInput, true),
            (-104, Permission, true),
            (-106, Permission, true),
            (-108, Permission, true),
            (-109, Auth, true),
            (-111, InvalidInput, true),
            (-113, Permission, true),
            (-115, Auth, true),
            (-201, InvalidInput, true),
            (-300, NotFound, true),
            (-301, InvalidInput, true),
            (-303, InvalidInput, true),
            (-305, Quota, true),
            (-404, InvalidInput, true),
            (-502, InvalidInput, true),
            (-601, AlreadyExists, false),
            (-999, ConflictBusy, false),
            (-1100, AlreadyExists, true),
            (-1501, InvalidInput, true),
            (-1601, ConflictBusy, true),
            (-4711, PanelBug, false),
        ] {
            let fault = of_number("AddUser", code);
            assert_eq!((fault.class, fault.refused), (class, is_refused), "{code}");
            assert!(fault.staff.ends_with(&format!("(AddUser: {code})")), "{fault}");
            assert_eq!(fault.code, Some(code.to_string()));
        }
    }

    #[test]
    fn each_word_has_its_class_and_its_proof() {
        for (code, class, is_refused) in [
            ("ERROR_PACKAGE_SUSPENDED", InvalidInput, true),
            ("ERROR_PACKAGE_NOT_FOUND", NotFound, true),
            ("ERROR_USER_ACCOUNT_SUSPENDED", Permission, true),
            ("VPS_MAINTENANCE_MODE_IS_ENABLE", ConflictBusy, true),
            ("VPS_QUOTA_EXCEEDED_SERVERS_NUMBER:1", AlreadyExists, true),
            ("VPS_QUOTA_EXCEEDED_RAM:2048", Quota, true),
            ("VPS_QUOTA_EXCEEDED_RESET_ALOWED", Quota, true),
            ("VPS_QUOTA_WRONG_RAM_HV", InvalidInput, true),
            ("VPS_QUOTA_TEMPLATE_DISK_MINIMAL_SIZE:40", InvalidInput, true),
            ("HOST_NAMER_IS_ALREADY_USED", AlreadyExists, true),
            ("HDD_VM_FILE_EXIST_ERROR:D:\\VMs\\x", AlreadyExists, true),
            ("RAM_VM_RAM_RESERVE_ERROR:x", Capacity, true),
            ("VPS_CREATE_TASK_START_ERROR", PanelBug, false),
            ("VPS_JOB_START_ERROR:32768", PanelBug, false),
            ("VPS_CHANGE_ADMIN_PASSWORD_ERROR", PanelBug, false),
            ("VPS_DELETE_ERROR", ConflictBusy, false),
            ("IP_ADDRESSES_POOL_IS_EMPTY", Capacity, true),
            ("IP_ADDRESSES_QUOTA_LIMIT_REACHED", Quota, true),
            ("VPS_NOT_ENOUGH_PACKAGE_IP_ADDRESSES", Capacity, true),
            ("", Permission, true),
            ("SOMETHING_NEW", PanelBug, false),
        ] {
            let fault = of_words("Op", [code]);
            assert_eq!((fault.class, fault.refused), (class, is_refused), "{code}");
        }
    }

    #[test]
    fn what_follows_a_colon_is_never_said() {
        let fault = of_words("Op", ["VPS_CREATE_ERROR:System.Exception: secret thing at line 5"]);
        assert_eq!(fault.code.as_deref(), Some("VPS_CREATE_ERROR"));
        assert!(!fault.staff.contains("secret thing"), "{fault}");
    }

    #[test]
    fn one_code_that_proves_nothing_spoils_the_proof() {
        assert!(of_words("Op", ["VPS_QUOTA_EXCEEDED_RAM:0", "VPS_QUOTA_EXCEEDED_HDD:0"]).refused);
        assert!(!of_words("Op", ["VPS_QUOTA_EXCEEDED_RAM:0", "VPS_CREATE_ERROR:x"]).refused);
        let silent = of_words("ReinstallVirtualMachine", []);
        assert_eq!((silent.class, silent.refused), (PanelBug, false));
    }

    #[test]
    fn a_fault_is_told_by_a_part_of_its_text_and_not_quoted() {
        for (text, class) in [
            ("Server was unable to process request. ---> You are not allowed to access this package", Permission),
            ("---> Object reference not set to an instance of an object. at X.Y()", NotFound),
            ("Transaction (Process ID 5) was deadlocked on lock resources", ConflictBusy),
            ("Violation of UNIQUE KEY constraint 'IX_Users_Username'. Cannot insert duplicate key", AlreadyExists),
            ("Server did not recognize the value of HTTP Header SOAPAction: x.", Unsupported),
            ("No anonymous access allowed.", InvalidInput),
            ("the password hunter2 is wrong", InDoubt),
        ] {
            let fault = of_fault("Op", text);
            assert_eq!(fault.class, class, "{text}");
            assert!(!fault.staff.contains("hunter2") && !fault.staff.contains("X.Y"), "{fault}");
            assert_eq!(fault.refused, class == Unsupported, "{text}");
        }
    }
}
