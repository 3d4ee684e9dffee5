//! One contract for every provider, whatever its panel: the same claims, held against each with the same words.
//!
//! What differs stands in a provider's [`Entry`](entry::Entry): how its fake panel starts, what its hooks are sent with, what
//! is to be seen on the panel.

mod codes;
mod deadlines;
mod entries;
mod entry;
mod gone;
mod hostile;
mod twice;
mod types;
mod unknown;

use billhook_tests::apiscp::ApisCp;
use billhook_tests::dcimanager::DciManager;
use billhook_tests::rootpanel::RootPanel;
use billhook_tests::solidcp::SolidCp;
use billhook_tests::virtfusion::VirtFusion;
use entry::Entry;

macro_rules! claims {
    ($($name:ident: $provider:ty, $rig:expr;)*) => {$(
        mod $name {
            use super::*;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn what_nobody_knows_changes_nothing() {
                unknown::claim::<$provider>($rig).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn a_hostile_body_is_a_clean_fault() {
                hostile::claim::<$provider>($rig).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn a_hostile_body_takes_no_more_memory_than_another() {
                hostile::in_fixed_memory::<$provider>($rig).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn gone_is_gone() {
                gone::claim::<$provider>($rig).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn a_repeated_end_never_touches_the_next_customer() {
                gone::next_customer::<$provider>($rig).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn twice_is_once() {
                twice::claim::<$provider>($rig).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn a_look_at_a_wrong_type_is_refused_with_its_place() {
                types::of_looks::<$provider>($rig).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn a_wrong_type_in_the_midst_of_a_change_doubles_nothing() {
                types::of_changes::<$provider>($rig).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn a_panel_that_hangs_is_left_in_time() {
                deadlines::claim::<$provider>($rig).await;
            }
        }
    )*};
}

claims! {
    virtfusion: VirtFusion, VirtFusion::rig;
    rootpanel: RootPanel, RootPanel::rig;
    rootpanel_serialized: RootPanel, entries::serialized;
    solidcp: SolidCp, SolidCp::rig;
    dcimanager: DciManager, DciManager::rig;
    apiscp: ApisCp, ApisCp::rig;
}

/// A code means the same in whatever form it comes.
macro_rules! codes {
    ($($name:ident: $provider:ty,)*) => {$(
        mod $name {
            use super::super::*;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn every_code_is_one_class_with_a_remedy() {
                codes::claim::<$provider>(<$provider>::rig).await;
            }
        }
    )*};
}

mod of_codes {
    codes! {
        virtfusion: VirtFusion,
        rootpanel: RootPanel,
        solidcp: SolidCp,
        dcimanager: DciManager,
        apiscp: ApisCp,
    }
}
