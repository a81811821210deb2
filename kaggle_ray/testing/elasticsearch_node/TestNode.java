import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import java.util.Set;
import org.elasticsearch.Build;
import org.elasticsearch.common.logging.LogConfigurator;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.env.Environment;
import org.elasticsearch.node.Node;
import org.elasticsearch.plugins.PluginBundle;
import org.elasticsearch.plugins.PluginsLoader;
import org.elasticsearch.rest.RestChannel;
import org.elasticsearch.rest.RestController;
import org.elasticsearch.rest.RestHandler.Route;
import org.elasticsearch.rest.RestRequest;
import org.elasticsearch.rest.RestResponse;
import org.elasticsearch.rest.RestStatus;
import org.elasticsearch.xcontent.XContentBuilder;

/**
 * Runs one Elasticsearch node for tests: {@code java -cp ... TestNode HOME [setting=value ...]}.
 *
 * <p>HOME holds modules/transport-netty4, as an installation does. The node ends on SIGTERM, and with its standard
 * input, so that no node outlives the tests that started it.
 */
public final class TestNode {

    public static void main(String[] arguments) throws Exception {
        LogConfigurator.configureESLogging();
        Path home = Path.of(arguments[0]).toAbsolutePath();
        Settings.Builder settings = Settings.builder().put("path.home", home.toString());
        for (String argument : Arrays.copyOfRange(arguments, 1, arguments.length)) {
            String[] setting = argument.split("=", 2);
            settings.put(setting[0], setting[1]);
        }
        Environment environment = new Environment(settings.build(), home.resolve("config"));
        Set<PluginBundle> modules = modulesIn(environment.modulesDir());
        // Not in Java's module layers: with the server on the class path there is none to be the parent of a plugin's.
        Node node = new Node(environment, PluginsLoader.createPluginsLoader(modules, Set.of(), Map.of(), false));
        answerRoot(node);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> close(node)));
        node.start();
        System.in.transferTo(OutputStream.nullOutputStream());
        System.exit(0);
    }

    /** Version 9 asks one thing more than version 8: false of an ordinary node. */
    @SuppressWarnings("unchecked")
    private static Set<PluginBundle> modulesIn(Path folder) throws ReflectiveOperationException {
        for (var method : PluginsLoader.class.getMethods()) {
            if (method.getName().equals("loadModulesBundles")) {
                Object[] arguments = method.getParameterCount() == 1 ? new Object[] {folder} : new Object[] {folder, false};
                return (Set<PluginBundle>) method.invoke(null, arguments);
            }
        }
        throw new NoSuchMethodException("PluginsLoader.loadModulesBundles");
    }

    /** Answers GET and HEAD of /, which the module that is not on Maven Central would. */
    private static void answerRoot(Node node) {
        RestController rest = node.injector().getInstance(RestController.class);
        for (RestRequest.Method method : Set.of(RestRequest.Method.GET, RestRequest.Method.HEAD)) {
            rest.registerHandler(new Route(method, "/"), (request, channel, client) -> describe(channel));
        }
    }

    private static void describe(RestChannel channel) throws IOException {
        XContentBuilder body = channel.newBuilder().startObject();
        body.startObject("version").field("number", Build.current().qualifiedVersion()).endObject();
        body.field("tagline", "You Know, for Search").endObject();
        channel.sendResponse(new RestResponse(RestStatus.OK, body));
    }

    private static void close(Node node) {
        try {
            node.close();
        } catch (IOException error) {
            error.printStackTrace();
        }
    }
}
