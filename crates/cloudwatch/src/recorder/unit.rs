use metrics::Unit;

const KIBI: f64 = 1_024.0;

/// CloudWatch's name of a unit, and what a value is to be multiplied with where CloudWatch has no such unit.
pub(crate) const fn of(unit: Option<Unit>) -> (&'static str, f64) {
    let Some(unit) = unit else {
        return ("None", 1.0);
    };
    match unit {
        Unit::Count => ("Count", 1.0),
        Unit::Percent => ("Percent", 1.0),
        Unit::Seconds => ("Seconds", 1.0),
        Unit::Milliseconds => ("Milliseconds", 1.0),
        Unit::Microseconds => ("Microseconds", 1.0),
        Unit::Nanoseconds => ("Microseconds", 1e-3),
        // CloudWatch's kilobytes are not said to be of 1,024 bytes.
        Unit::Tebibytes => ("Bytes", KIBI * KIBI * KIBI * KIBI),
        Unit::Gibibytes => ("Bytes", KIBI * KIBI * KIBI),
        Unit::Mebibytes => ("Bytes", KIBI * KIBI),
        Unit::Kibibytes => ("Bytes", KIBI),
        Unit::Bytes => ("Bytes", 1.0),
        Unit::TerabitsPerSecond => ("Terabits/Second", 1.0),
        Unit::GigabitsPerSecond => ("Gigabits/Second", 1.0),
        Unit::MegabitsPerSecond => ("Megabits/Second", 1.0),
        Unit::KilobitsPerSecond => ("Kilobits/Second", 1.0),
        Unit::BitsPerSecond => ("Bits/Second", 1.0),
        Unit::CountPerSecond => ("Count/Second", 1.0),
    }
}
