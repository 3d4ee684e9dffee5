//! The numbers by which the panel refuses or puts off, with the texts that it sends along.

/// One of the contract's section 6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Code(pub(super) u16);

impl Code {
    pub(super) const DATABASE: Self = Self(1);
    pub(super) const NOT_SAVED: Self = Self(2);
    pub(super) const NO_LOGIN: Self = Self(3);
    pub(super) const UNKNOWN_USER: Self = Self(4);
    pub(super) const API_OFF: Self = Self(5);
    pub(super) const NO_KEY: Self = Self(6);
    pub(super) const WRONG_KEY: Self = Self(7);
    pub(super) const UNKNOWN_COMMAND: Self = Self(8);
    pub(super) const TWO_KEYS: Self = Self(9);
    pub(super) const NO_PLANS: Self = Self(10);
    pub(super) const PLAN_MISSING: Self = Self(11);
    pub(super) const UNKNOWN_PLAN: Self = Self(12);
    pub(super) const DOMAIN_MISSING: Self = Self(13);
    pub(super) const DOMAIN_TAKEN: Self = Self(14);
    pub(super) const PERIOD_MISSING: Self = Self(15);
    pub(super) const PERIOD_REFUSED: Self = Self(16);
    pub(super) const ADDON_REFUSED: Self = Self(17);
    pub(super) const ORDER_MISSING: Self = Self(18);
    pub(super) const UNKNOWN_ORDER: Self = Self(19);
    pub(super) const OPEN_INVOICE: Self = Self(20);
    pub(super) const SUSPENDED: Self = Self(21);
    pub(super) const RUNNING: Self = Self(22);
    pub(super) const OVERDUE: Self = Self(23);
    pub(super) const WRONG_KIND: Self = Self(24);
    pub(super) const UNSUPPORTED: Self = Self(25);
    pub(super) const NO_ORDERS: Self = Self(26);
    pub(super) const ONCE_ONLY: Self = Self(27);
    pub(super) const QUANTITY: Self = Self(28);
    pub(super) const GROUP: Self = Self(29);
    pub(super) const BY_HAND: Self = Self(30);
    pub(super) const AWAITS_PAYMENT: Self = Self(31);
    pub(super) const LOCATION_REFUSED: Self = Self(40);
    pub(super) const AUTORENEW: Self = Self(41);
    pub(super) const AUTORENEW_PERIOD_MISSING: Self = Self(42);
    pub(super) const AUTORENEW_PERIOD_REFUSED: Self = Self(43);
    pub(super) const INSTALLING: Self = Self(44);
    pub(super) const NOT_QUEUED: Self = Self(45);
    pub(super) const PANEL_NOT_FOR_OS: Self = Self(47);
    pub(super) const UNKNOWN_OS: Self = Self(48);
    pub(super) const UNKNOWN_PANEL: Self = Self(49);
    pub(super) const LOCATION_CLOSED: Self = Self(50);
    pub(super) const ADDONS_MISSING: Self = Self(52);
    pub(super) const RENEW_FIRST: Self = Self(53);
    pub(super) const ADDRESS: Self = Self(54);
    pub(super) const FAILED: Self = Self(55);

    /// The text that goes with it, in the language that the panel speaks.
    pub(super) fn message(self) -> &'static str {
        match self {
            Self::WRONG_KEY => "Указан неправильный пароль или ключ API",
            Self::API_OFF => "Доступ к API отключен",
            Self::BY_HAND => "Заявка принята, но будет обработана вручную",
            Self::AWAITS_PAYMENT => "Заявка принята, но будет обработана после оплаты счета.",
            Self::UNKNOWN_ORDER => "Заказ не найден",
            Self::OPEN_INVOICE => "По заказу есть неоплаченные счета",
            _ => "Ошибка выполнения команды",
        }
    }
}
