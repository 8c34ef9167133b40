//! What can share one broker. A start of RabbitMQ takes seven seconds of processor time, so this is
//! one test of many parts; each says its name.

mod common;
mod parts;

use std::time::Instant;

use socketio_testkit::{Certificates, RabbitMq};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_broker_in_good_health() {
    let certificates = Certificates::new();
    let rabbit = RabbitMq::start_with_tls(&certificates);
    macro_rules! run {
        ($($part:ident::$name:ident($($argument:expr),*);)*) => {$(
            let start = Instant::now();
            eprintln!("part {}", stringify!($name));
            Box::pin(parts::$part::$name($($argument),*)).await;
            eprintln!("  passed in {} ms", start.elapsed().as_millis());
        )*};
    }
    run! {
        laws::direct_exchange(&rabbit);
        laws::topic_exchange(&rabbit);
        laws::reliable(&rabbit);
        access::credentials_and_virtual_host(&rabbit);
        access::refused_credentials_are_reported(&rabbit);
        access::a_missing_virtual_host_is_reported(&rabbit);
        access::tls_with_an_own_authority(&rabbit, &certificates);
        access::an_exchange_of_another_type_is_reported(&rabbit);
        traffic::foreign_bytes_are_counted_and_skipped(&rabbit);
        traffic::a_slow_handler_leaves_messages_at_the_broker(&rabbit);
        traffic::too_large_messages_are_refused(&rabbit);
        traffic::an_id_that_is_too_long_does_no_harm(&rabbit);
        traffic::a_handler_that_panics_does_not_stop_the_reading(&rabbit);
        traffic::what_the_broker_delivers_again_is_heard_once(&rabbit);
        traffic::emitters_publish_flush_and_hear_answers(&rabbit);
        python::a_member_hears_and_is_heard_once(&rabbit);
        python::who_listens_says_nothing(&rabbit);
        python::raw_messages_of_emitters_are_heard_once(&rabbit);
        python::an_exchange_that_others_declared_is_taken_as_it_is(&rabbit);
        queues::what_a_node_has_at_the_broker(&rabbit);
        queues::a_deleted_queue_is_rebuilt(&rabbit);
        queues::nothing_is_left_behind(&rabbit);
        queues::an_instance_name_is_used_once(&rabbit);
        queues::a_deleted_exchange_is_declared_again(&rabbit);
    }
}
