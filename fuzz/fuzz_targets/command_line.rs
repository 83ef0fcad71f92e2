#![no_main]

libfuzzer_sys::fuzz_target!(init: gen5_fuzz::on_one_thread(), |data: &[u8]| gen5_fuzz::command_line(data));
