import io.confluent.kafka.schemaregistry.json.diff.SchemaDiff;
import java.nio.charset.StandardCharsets;
import org.everit.json.schema.Schema;
import org.everit.json.schema.loader.SchemaLoader;
import org.json.JSONArray;
import org.json.JSONObject;

/** Asks Confluent's SchemaDiff about pairs of reader and writer, for bench/judging.py: JSON in, refusals out. */
public final class Judge {
  public static void main(String[] arguments) throws Exception {
    JSONArray pairs = new JSONArray(new String(System.in.readAllBytes(), StandardCharsets.UTF_8));
    JSONArray refused = new JSONArray();
    for (Object pair : pairs) {
      refused.put(isRefused((JSONArray) pair));
    }
    System.out.print(refused);
  }

  private static boolean isRefused(JSONArray pair) {
    Schema reader = loaded(pair.getJSONObject(0));
    Schema writer = loaded(pair.getJSONObject(1));
    return SchemaDiff.compare(writer, reader).stream()
        .anyMatch(each -> !SchemaDiff.COMPATIBLE_CHANGES_STRICT.contains(each.getType()));
  }

  private static Schema loaded(JSONObject schema) {
    return SchemaLoader.builder().useDefaults(true).draftV7Support().schemaJson(schema).build().load().build();
  }
}
