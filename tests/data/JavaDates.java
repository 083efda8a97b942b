// Writes java_dates.json, what java.text.SimpleDateFormat makes of many patterns and instants:
//     java tests/data/JavaDates.java > tests/data/java_dates.json
// The calendar is the proleptic Gregorian one, as in databases; Java's own would turn Julian before 1582.

import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.text.SimpleDateFormat;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Date;
import java.util.GregorianCalendar;
import java.util.List;
import java.util.Locale;
import java.util.TimeZone;

public class JavaDates {
    static final String[] PATTERNS = {
        "yyyy-MM-dd'T'HH:mm:ssZ", "yyyy-MM-dd'T'HH:mm:ssX", "yyyy-MM-dd'T'HH:mm:ssXX",
        "yyyy-MM-dd'T'HH:mm:ssXXX", "yyyy-MM-dd'T'HH:mm:ss'Z'", "yyyy-MM-dd'T'HH:mm:ss.SSSZ",
        "yyyy-MM-dd'T'HH:mm:ss.SSSXXX", "yyyy-MM-dd HH:mm:ss", "yyyy-MM-dd HH:mm:ss.SSS",
        "yyyy-MM-dd HH:mm:ss z", "yyyy-MM-dd HH:mm:ss zzzz", "yyyy-MM-dd HH:mm:ss ZZZZ", "yyyy-MM-dd",
        "yyyyMMdd", "yyyyMMddHHmmss", "yyyyMMdd'T'HHmmssZ", "yyyyMMddHHmmssSSS", "yyyyMMddHHmmss.SSS",
        "dd/MM/yyyy HH:mm:ss", "MM/dd/yyyy hh:mm:ss a", "d.M.yyyy H:mm", "M/d/yy h:mm a", "dd.MM.yy", "yy",
        "y", "yyy", "yyyy", "yyyyy", "yyyyyy", "M", "MM", "MMM", "MMMM", "MMMMM", "d", "dd", "ddd", "H", "HH",
        "HHH", "h", "hh", "hhh", "m", "mm", "mmm", "s", "ss", "sss", "S", "SS", "SSS", "SSSS", "SSSSSS", "a",
        "aaaa", "E", "EE", "EEE", "EEEE", "EEEEE", "EEE, d MMM yyyy HH:mm:ss Z", "EEEE, MMMM d, yyyy h:mm:ss a z",
        "dd-MMM-yyyy HH:mm:ss.SSS", "dd-MMM-yy hh.mm.ss.SSS a", "HH:mm:ss", "ss.SSS", "HH 'o''clock' mm",
        "''yyyy''MM''dd''", "yyyy'year'MM'month'dd'day' HH'h'mm'm'ss's'", "yyyy年MM月dd日 HH時mm分ss秒",
        "'at' HH:mm 'on' dd \"MM\" yyyy", "yyyy\\MM\\dd|HH;mm", "yyyy-MM-dd'T'HH:mm:ss'%Y%d:x$1\\n\"'",
        "dd,MM,yyyy,HH,mm,ss,SSS", "ss:mm:HH dd-MM-yyyy", "mm-ss", "yyyy-MM-ddHH:mm:ssSSS", "'HH:mm' X yyyy",
        "yyyy_MM_dd't'HH.mm.ss+SSSz",
        "'''' yyyy", "'''a' yyyy'b''c'"
    };
    static final String[] INVALID = {
        "yyyy-MM-ddTHH:mm:ss", "yyyy-MM-dd'T", "XXXX", "b", "yyyy-MM-dd'T'HH:mm:ss'", "n", "q", "yyyy-MM-dd e",
        "VV", "''' yyyy", "A", "O"
    };
    static final String[] INSTANTS = {
        "2018-01-09T14:56:13.000000Z", "2020-02-29T00:00:00.000000Z", "2021-12-31T23:59:59.999999Z",
        "2022-01-01T12:00:00.007000Z", "2024-02-29T12:34:56.070500Z", "1970-01-01T00:00:00.000999Z",
        "1969-12-31T23:59:59.123456Z", "2000-02-29T01:02:03.100000Z", "2038-01-19T03:14:08.999900Z",
        "0099-03-01T11:59:59.500000Z", "9999-12-31T23:59:59.999999Z", "0001-01-01T00:00:00.000000Z",
        "1582-10-10T09:08:07.060000Z", "2026-06-07T13:00:00.010000Z", "2027-08-15T00:30:09.000001Z"
    };

    static String quoted(String text) {
        StringBuilder result = new StringBuilder("\"");
        for (char letter : text.toCharArray()) {
            if (letter == '"' || letter == '\\') {
                result.append('\\');
            }
            result.append(letter);
        }
        return result.append('"').toString();
    }

    static String formatted(String pattern, String instant) {
        TimeZone utc = TimeZone.getTimeZone("UTC");
        GregorianCalendar calendar = new GregorianCalendar(utc, Locale.ENGLISH);
        calendar.setGregorianChange(new Date(Long.MIN_VALUE));
        SimpleDateFormat format = new SimpleDateFormat(pattern, Locale.ENGLISH);
        format.setCalendar(calendar);
        return format.format(Date.from(Instant.parse(instant)));
    }

    static List<String> refused() {
        List<String> result = new ArrayList<>();
        for (String pattern : INVALID) {
            try {
                formatted(pattern, INSTANTS[0]);
            } catch (IllegalArgumentException expected) {
                result.add("  " + quoted(pattern));
            }
        }
        if (result.size() != INVALID.length) {
            throw new AssertionError("Java takes a pattern that is listed as invalid: " + result);
        }
        return result;
    }

    public static void main(String[] arguments) {
        List<String> vectors = new ArrayList<>();
        for (String pattern : PATTERNS) {
            for (String instant : INSTANTS) {
                String[] row = {quoted(pattern), quoted(instant), quoted(formatted(pattern, instant))};
                vectors.add("  [" + String.join(", ", row) + "]");
            }
        }
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        out.print("{\n\"java\": " + quoted(System.getProperty("java.version")) + ",\n");
        out.print("\"refused\": [\n" + String.join(",\n", refused()) + "\n],\n");
        out.print("\"vectors\": [\n" + String.join(",\n", vectors) + "\n]\n}\n");
    }
}
