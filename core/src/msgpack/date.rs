//! Dates as `Date.prototype.toISOString` prints them.

use super::{EXT_NOTEPACK, EXT_TIMESTAMP};

/// What JavaScript can represent: 100 million days to either side of 1970.
const MAX_MILLIS: i64 = 8_640_000_000_000_000;

/// The text of a date extension, `None` if the extension is no date, `Some(None)` if the date is
/// out of range: JSON prints that as `null`.
pub(super) fn parse(kind: i8, data: &[u8]) -> Option<Option<String>> {
    let (seconds, nanos) = match (kind, data.len()) {
        (EXT_NOTEPACK, 8) => {
            let millis = i64::from_be_bytes(data.try_into().ok()?);
            let nanos = millis.rem_euclid(1000) as u32 * 1_000_000;
            (millis.div_euclid(1000), nanos)
        }
        (EXT_TIMESTAMP, 4) => (u32::from_be_bytes(data.try_into().ok()?).into(), 0),
        (EXT_TIMESTAMP, 8) => {
            // 30 bits of nanoseconds, 34 bits of seconds.
            let both = u64::from_be_bytes(data.try_into().ok()?);
            ((both & ((1 << 34) - 1)) as i64, (both >> 34) as u32)
        }
        (EXT_TIMESTAMP, 12) => {
            let (nanos, seconds) = data.split_first_chunk::<4>()?;
            let seconds = i64::from_be_bytes(seconds.try_into().ok()?);
            (seconds, u32::from_be_bytes(*nanos))
        }
        _ => return None,
    };
    let millis = seconds.checked_mul(1000);
    let millis = millis.and_then(|millis| millis.checked_add(i64::from(nanos / 1_000_000)));
    Some(millis.filter(|m| m.abs() <= MAX_MILLIS).map(iso_string))
}

fn iso_string(millis: i64) -> String {
    const DAY: i64 = 86_400_000;
    let (year, month, day) = civil(millis.div_euclid(DAY));
    let of_day = millis.rem_euclid(DAY);
    let (hours, minutes) = (of_day / 3_600_000, of_day / 60_000 % 60);
    let (seconds, millis) = (of_day / 1000 % 60, of_day % 1000);
    let year = match year {
        0..=9999 => format!("{year:04}"),
        _ => format!("{year:+07}"),
    };
    format!("{year}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{millis:03}Z")
}

/// Year, month and day of the Gregorian calendar, by days since 1970. Years are counted from March
/// so that the leap day is the last of its year.
fn civil(days: i64) -> (i64, i64, i64) {
    /// Days from 1 March of the year 0 to 1970.
    const EPOCH: i64 = 719_468;
    /// The calendar repeats after 400 years.
    const CYCLE: i64 = 146_097;
    let days = days + EPOCH;
    let cycle = days.div_euclid(CYCLE);
    let day_of_cycle = days.rem_euclid(CYCLE);
    let year_of_cycle =
        (day_of_cycle - day_of_cycle / 1460 + day_of_cycle / 36_524 - day_of_cycle / 146_096) / 365;
    let day_of_year =
        day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    // Five months from March on have 153 days.
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = cycle * 400 + year_of_cycle + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_dates_as_javascript_does() {
        // Checked against `new Date(n).toISOString()` of Node 20.
        let cases = [
            (0, "1970-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_795_245_155_923, "2026-11-21T07:12:35.923Z"),
            (253_402_300_800_000, "+010000-01-01T00:00:00.000Z"),
            (-62_167_219_200_001, "-000001-12-31T23:59:59.999Z"),
            (MAX_MILLIS, "+275760-09-13T00:00:00.000Z"),
        ];
        for (millis, text) in cases {
            let parsed = parse(EXT_NOTEPACK, &i64::to_be_bytes(millis));
            assert_eq!(parsed, Some(Some(text.to_owned())));
        }
        assert_eq!(
            parse(EXT_NOTEPACK, &i64::to_be_bytes(MAX_MILLIS + 1)),
            Some(None)
        );
        assert_eq!(parse(EXT_NOTEPACK, &i64::to_be_bytes(i64::MIN)), Some(None));
    }

    #[test]
    fn reads_all_sizes_of_a_timestamp() {
        let expected = |text: &str| Some(Some(text.to_owned()));
        let four = 1u32.to_be_bytes();
        assert_eq!(
            parse(EXT_TIMESTAMP, &four),
            expected("1970-01-01T00:00:01.000Z")
        );
        let eight = (5_000_000u64 << 34 | 1).to_be_bytes();
        assert_eq!(
            parse(EXT_TIMESTAMP, &eight),
            expected("1970-01-01T00:00:01.005Z")
        );
        let twelve = [
            5_000_000u32.to_be_bytes().as_slice(),
            &(-1i64).to_be_bytes(),
        ]
        .concat();
        assert_eq!(
            parse(EXT_TIMESTAMP, &twelve),
            expected("1969-12-31T23:59:59.005Z")
        );
        assert_eq!(parse(EXT_TIMESTAMP, &[0; 5]), None);
        assert_eq!(parse(7, &[0; 8]), None);
    }
}
