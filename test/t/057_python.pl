# The Python client reads through a cache that inval invalidates: its own tests, with a
# PostgreSQL that has the extension, a Redis that the worker has loaded the functions
# into, and servers that they start themselves to stop, hang and fill them.
#
# Each test of clients/python/tests is one here.

use strict;
use warnings;

use File::Basename;
use File::Spec;
use IPC::Run ();
use Inval::Test;
use Test::More;

my $root = File::Spec->rel2abs(dirname(__FILE__) . '/../..');
my $tests = "$root/clients/python/tests";
my $redis = Inval::Redis->new;
# A commit waits for Redis however busy the machine is.
my $node = new_node('python', url => $redis->unix_url, conf => "inval.commit_timeout = '60s'\n");

ok(poll_until(sub { $redis->cmd('FCALL', 'inval_version', 0) }, 'the library'),
	'Redis has the functions for readers');

$ENV{INVAL_TEST_DSN} = sprintf 'host=%s port=%d dbname=postgres', $node->host, $node->port;
$ENV{INVAL_TEST_REDIS} = $redis->unix_url;
$ENV{PYTHONPATH} = "$root/clients/python/src:$tests";

my @modules = map { basename($_, '.py') } sort glob "$tests/test_*.py";

cmp_ok(scalar @modules, '>=', 10, 'there are modules of tests');
run_module($_) foreach @modules;
no_crash($node, 'no server process crashed');
done_testing();

# Runs the tests of a module, which must say nothing but how they went.  One that is
# skipped has failed: all that they need is here.
sub run_module
{
	my ($module) = @_;
	my $output = '';
	# Elsewhere than here, where Python would take inval.so for the package.
	my $passed = IPC::Run::run([ "$tests/python", '-W', 'error', '-m', 'unittest', '-v', $module ],
		'>', \$output, '2>&1', init => sub { chdir $tests });
	my @results = $output =~ /^(test_\w+ \(\S+\)).*? \.\.\. (\w+)/msg;
	my $failed = !$passed;

	cmp_ok(scalar @results, '>', 0, "$module has tests");
	while (my ($test, $result) = splice @results, 0, 2)
	{
		ok($result eq 'ok', $test);
		$failed = 1 if $result ne 'ok';
	}
	ok($passed, "$module passes");
	# What redis-py closes when the interpreter is at its end, it may close too late.
	$output =~ s/^OK\n\K(?:Exception ignored in: <socket\.socket .*\nResourceWarning: unclosed <socket\.socket .*\n)+//m;
	unlike($output, qr/Warning|Exception ignored/, "$module is quiet");
	diag($output) if $failed || $output =~ /Warning|Exception ignored/;
	return;
}
